// The only road between the control plane and the workers. docs/architecture.md lists what each entity carries.

import { networkMode } from '../types.bicep'

@description('Name of the namespace.')
param name string

@description('Region.')
param location string

@description('Tags of the resource.')
param tags object

@description('How the parts reach it. Private endpoints need the Premium tier.')
param mode networkMode

@description('Names of the worker pools; each has a queue commands-<name>.')
param poolNames string[]

@description('Names of subscriptions of the topic events. One that nobody reads keeps its messages for a week.')
param eventSubscriptions string[]

@description('Object id of the identity of the Functions app.')
param functionsPrincipalId string

@description('Object ids of the identities of the worker pools, in their order.')
param workerPrincipalIds string[]

@description('Object id of the identity that the platform scales the workers with.')
param platformPrincipalId string

@description('Object ids of service principals that send requests and read events.')
param automationPrincipalIds string[]

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var receiver = '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0' // Azure Service Bus Data Receiver
var sender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39' // Azure Service Bus Data Sender

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: mode == 'private' ? 'Premium' : 'Standard'
    tier: mode == 'private' ? 'Premium' : 'Standard'
    capacity: mode == 'private' ? 1 : null
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: mode == 'private' ? 'Disabled' : 'Enabled'
  }
}

// The session of a task is the lease of its migration, and its start command stays on the queue for as long as the migration runs.
// Each take-over counts as a delivery, hence the high count. Sessions and duplicate detection cannot be changed later.
resource commands 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = [
  for poolName in poolNames: {
    parent: namespace
    name: 'commands-${poolName}'
    properties: {
      requiresSession: true
      requiresDuplicateDetection: true
      duplicateDetectionHistoryTimeWindow: 'PT10M'
      lockDuration: 'PT1M'
      maxDeliveryCount: 2000
    }
  }
]

resource reports 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: 'reports'
  properties: {
    requiresSession: true
    lockDuration: 'PT1M'
    maxDeliveryCount: 10
  }
}

resource requests 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: namespace
  name: 'requests'
  properties: {
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: 'PT10M'
    deadLetteringOnMessageExpiration: true
    lockDuration: 'PT1M'
    maxDeliveryCount: 10
  }
}

resource events 'Microsoft.ServiceBus/namespaces/topics@2024-01-01' = {
  parent: namespace
  name: 'events'
  properties: {
    defaultMessageTimeToLive: 'P7D'
  }

  resource subscriptions 'subscriptions' = [
    for subscriptionName in eventSubscriptions: {
      name: subscriptionName
      properties: {
        deadLetteringOnMessageExpiration: false
        lockDuration: 'PT1M'
        maxDeliveryCount: 10
      }
    }
  ]
}

// A worker listens to its own queue and to no other.
resource workerReceives 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (poolName, index) in poolNames: {
    name: guid(commands[index].id, workerPrincipalIds[index], receiver)
    scope: commands[index]
    properties: {
      principalId: workerPrincipalIds[index]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
    }
  }
]

resource workerReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (poolName, index) in poolNames: {
    name: guid(reports.id, workerPrincipalIds[index], sender)
    scope: reports
    properties: {
      principalId: workerPrincipalIds[index]
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    }
  }
]

resource functionsCommand 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (poolName, index) in poolNames: {
    name: guid(commands[index].id, functionsPrincipalId, sender)
    scope: commands[index]
    properties: {
      principalId: functionsPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    }
  }
]

resource functionsReadReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(reports.id, functionsPrincipalId, receiver)
  scope: reports
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
  }
}

resource functionsReadRequests 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(requests.id, functionsPrincipalId, receiver)
  scope: requests
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
  }
}

resource functionsPublish 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(events.id, functionsPrincipalId, sender)
  scope: events
  properties: {
    principalId: functionsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
  }
}

// The scaler asks the management side for the length of the queues, which takes read actions on the whole namespace.
resource platformCounts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace.id, platformPrincipalId, receiver)
  scope: namespace
  properties: {
    principalId: platformPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
  }
}

resource automationRequests 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in automationPrincipalIds: {
    name: guid(requests.id, principalId, sender)
    scope: requests
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', sender)
    }
  }
]

resource automationReadsEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for principalId in automationPrincipalIds: {
    name: guid(events.id, principalId, receiver)
    scope: events
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', receiver)
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the namespace.')
output id string = namespace.id

@description('Name of the namespace.')
output name string = namespace.name

@description('Host name of the namespace.')
output hostName string = '${namespace.name}.servicebus.windows.net'

@description('Name of the queue of reports.')
output reportsQueue string = reports.name

@description('Name of the queue of requests.')
output requestsQueue string = requests.name

@description('Name of the topic of events.')
output eventsTopic string = events.name
