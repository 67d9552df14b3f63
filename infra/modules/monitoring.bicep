// Where logs and metrics go. Nobody writes telemetry with a key: local authentication is off.

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the Log Analytics workspace.')
param workspaceName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retentionInDays int

@description('Object id of the identity of the Functions app, which publishes telemetry.')
param functionsPrincipalId string

@description('Object ids of the identities of the worker pools, in their order.')
param workerPrincipalIds string[]

@description('Names of the worker pools, in the same order.')
param poolNames string[]

var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionInDays
    features: { disableLocalAuth: true }
  }
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource publishTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(applicationInsights.id, functionsPrincipalId, monitoringMetricsPublisher)
  scope: applicationInsights
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

resource workerPublishesTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (poolName, index) in poolNames: {
    name: guid(applicationInsights.id, workerPrincipalIds[index], monitoringMetricsPublisher)
    scope: applicationInsights
    properties: {
      principalId: workerPrincipalIds[index]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspace.id, 'pgdms migrations')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'pgdms migrations'
    category: 'workbook'
    version: '1.0'
    sourceId: workspace.id
    serializedData: replace(loadTextContent('../workbook.json'), '%WORKSPACE_ID%', workspace.id)
  }
}

@description('Resource id of the Log Analytics workspace.')
output workspaceId string = workspace.id

@description('Connection string of Application Insights: an address and an instrumentation key that opens nothing, since local authentication is off.')
output applicationInsightsConnectionString string = applicationInsights.properties.ConnectionString
