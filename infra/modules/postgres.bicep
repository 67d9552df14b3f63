// A target: a flexible server with private access, in the same virtual network as the workers.

import { flexibleServer } from '../types.bicep'

@description('Name of the server.')
@minLength(3)
@maxLength(63)
param name string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('What to deploy.')
param server flexibleServer

@description('Subnet delegated to flexible servers.')
param subnetId string

@description('Virtual network that resolves the name of the server.')
param virtualNetworkId string

@description('Object ids of the identities of the worker pools, which become administrators: a migration creates databases, roles and extensions.')
param workerPrincipalIds string[]

@description('Names of the identities of the worker pools, in the same order.')
param workerNames string[]

@description('Name of an administrator with a password. Empty: the server accepts Microsoft Entra only.')
param administratorLogin string

@description('Password of that administrator.')
@secure()
param administratorPassword string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var hasPassword = !empty(administratorLogin)

// Values that suit a bulk load. docs/operations.md says when to take them back.
var parameters = [
  { name: 'azure.extensions', value: join(server.?extensions ?? ['PGCRYPTO'], ',') }
  { name: 'max_wal_size', value: '32768' }
  { name: 'checkpoint_timeout', value: '1800' }
]

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: '${name}.private.postgres.database.azure.com'
  location: 'global'
  tags: tags

  resource link 'virtualNetworkLinks' = {
    name: 'to-${uniqueString(virtualNetworkId)}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: virtualNetworkId }
    }
  }
}

resource flexible 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: server.skuName, tier: server.skuTier }
  properties: {
    version: server.version
    administratorLogin: hasPassword ? administratorLogin : null
    administratorLoginPassword: hasPassword ? administratorPassword : null
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: hasPassword ? 'Enabled' : 'Disabled'
      tenantId: subscription().tenantId
    }
    storage: { storageSizeGB: server.storageSizeGB, autoGrow: 'Enabled' }
    network: {
      delegatedSubnetResourceId: subnetId
      privateDnsZoneArmResourceId: zone.id
    }
    backup: { backupRetentionDays: 7, geoRedundantBackup: 'Disabled' }
    // Switch it on after the load: a standby makes each commit wait for it.
    highAvailability: { mode: 'Disabled' }
  }
  dependsOn: [zone::link]
}

// One at a time: the server answers "busy" to a second change.
@batchSize(1)
resource configurations 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = [
  for parameter in parameters: {
    parent: flexible
    name: parameter.name
    properties: { source: 'user-override', value: parameter.value }
  }
]

@batchSize(1)
resource administrators 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = [
  for administrator in server.administrators: {
    parent: flexible
    name: administrator.objectId
    properties: {
      principalName: administrator.name
      principalType: administrator.type
      tenantId: subscription().tenantId
    }
    dependsOn: [configurations]
  }
]

@batchSize(1)
resource workers 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = [
  for (principalId, index) in workerPrincipalIds: {
    parent: flexible
    name: principalId
    properties: {
      principalName: workerNames[index]
      principalType: 'ServicePrincipal'
      tenantId: subscription().tenantId
    }
    dependsOn: [administrators]
  }
]

@batchSize(1)
resource databases 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01' = [
  for databaseName in server.databases: {
    parent: flexible
    name: databaseName
    properties: { charset: 'UTF8', collation: 'en_US.utf8' }
    dependsOn: [workers]
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: flexible
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Host name of the server.')
output hostName string = flexible.properties.fullyQualifiedDomainName
