// Passwords of sources and targets. The control plane writes them, the workers read them, nothing else holds them.

import { networkMode } from '../types.bicep'

@description('Name of the vault.')
param name string

@description('Region.')
param location string

@description('Tags of the resource.')
param tags object

@description('How the parts reach it.')
param mode networkMode

@description('Protect deleted secrets from being purged. It can never be switched off again, and the name of a deleted vault stays taken.')
param purgeProtection bool

@description('Object id of the identity of the Functions app.')
param functionsPrincipalId string

@description('Object ids of the identities of the worker pools.')
param workerPrincipalIds string[]

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var secretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: purgeProtection ? 90 : 7
    // null, not false: the service refuses false.
    enablePurgeProtection: purgeProtection ? true : null
    publicNetworkAccess: mode == 'private' ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: mode == 'private' ? 'Deny' : 'Allow'
    }
  }
}

resource functionsWrite 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, functionsPrincipalId, secretsOfficer)
  scope: vault
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsOfficer)
  }
}

resource workersRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in workerPrincipalIds: {
    name: guid(vault.id, principalId, secretsUser)
    scope: vault
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the vault.')
output id string = vault.id

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
