// Storage of the control plane: its state in tables, its code and the leases of its timers in blobs.

import { networkMode } from '../types.bicep'

@description('Name of the storage account.')
param name string

@description('Region.')
param location string

@description('Tags of the resource.')
param tags object

@description('How the Functions app reaches it.')
param mode networkMode

@description('Redundancy.')
param skuName 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GZRS'

@description('Tables of the control plane. The worker has no right to them: it reports by queue.')
param tableNames string[]

@description('Object id of the identity of the Functions app.')
param functionsPrincipalId string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var packageContainerName = 'app-package'
var functionsRoles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner: the host's leases and the deployment package
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor: state
]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: skuName }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: mode == 'private' ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: mode == 'private' ? 'Deny' : 'Allow'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource packages 'containers' = {
      name: packageContainerName
      properties: { publicAccess: 'None' }
    }
  }

  resource tableService 'tableServices' = {
    name: 'default'

    resource tables 'tables' = [
      for tableName in tableNames: {
        name: tableName
      }
    ]
  }
}

resource functionsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in functionsRoles: {
    name: guid(account.id, functionsPrincipalId, role)
    scope: account
    properties: {
      principalId: functionsPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account::tableService
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageDelete', enabled: true }
    ]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

@description('Resource id of the storage account.')
output id string = account.id

@description('Name of the storage account.')
output name string = account.name

@description('Address of the tables.')
output tablesEndpoint string = account.properties.primaryEndpoints.table

@description('Address of the container that holds the package of the Functions app.')
output packageContainerUrl string = '${account.properties.primaryEndpoints.blob}${packageContainerName}'
