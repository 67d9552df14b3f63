// The registry of the worker's image.

import { networkMode } from '../types.bicep'

@description('Name of the registry.')
param name string

@description('Region.')
param location string

@description('Tags of the resource.')
param tags object

@description('How the workers reach it. Private endpoints need the Premium tier.')
param mode networkMode

@description('Whether images may be pushed from the internet, with a Microsoft Entra token.')
param publicAccess bool

@description('Object id of the identity that pulls images.')
param platformPrincipalId string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: mode == 'private' ? 'Premium' : 'Basic' }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
  }
}

resource platformPulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, platformPrincipalId, acrPull)
  scope: registry
  properties: {
    principalId: platformPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: registry
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'audit', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the registry.')
output id string = registry.id

@description('Name of the registry.')
output name string = registry.name

@description('Host name of the registry.')
output loginServer string = registry.properties.loginServer
