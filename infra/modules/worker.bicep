// One worker pool: a Container Apps environment in a subnet of its own, and the app in it. No ingress: nothing opens a connection
// to a worker.

@description('Name of the service; the queue is commands-<name>.')
param poolName string

@description('Name of the environment.')
param environmentName string

@description('Name of the app.')
@maxLength(32)
param appName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Subnet of the pool. It cannot be changed later.')
param subnetId string

@description('Image of the worker.')
param image string

@description('Size of a replica.')
param size 'small' | 'medium' | 'large'

@description('Replicas that are always there. At 0 the pool wakes on the first command; a running migration keeps its command on the queue.')
@minValue(0)
@maxValue(10)
param minReplicas int = 1

@description('Replicas at most.')
@minValue(1)
@maxValue(30)
param maxReplicas int = 4

@description('Migrations that one replica runs at the same time.')
@minValue(1)
@maxValue(32)
param maxTasks int = 4

@description('Machines of its own, or the shared ones.')
param workloadProfile 'Consumption' | 'D4' | 'D8' | 'D16' = 'Consumption'

@description('Resource id of the identity of the worker.')
param identityId string

@description('Client id of the identity of the worker.')
param identityClientId string

@description('Resource id of the identity that pulls images and reads the length of the queue.')
param platformIdentityId string

@description('Host name of the registry.')
param registryLoginServer string

@description('Name of the Service Bus namespace.')
param serviceBusName string

@description('Host name of the Service Bus namespace.')
param serviceBusHostName string

@description('Address of the vault.')
param keyVaultUri string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Connection string of Application Insights. Empty: workers send no traces and metrics.')
param applicationInsightsConnectionString string

// CPU and memory come in fixed pairs. CPU is text, since a number in a template has no fractions.
var resourcesOf = {
  small: { cpu: '1.0', memory: '2Gi' }
  medium: { cpu: '2.0', memory: '4Gi' }
  large: { cpu: '4.0', memory: '8Gi' }
}
var hasOwnMachines = workloadProfile != 'Consumption'
var sharedProfile = [{ name: 'Consumption', workloadProfileType: 'Consumption' }]
var ownProfile = [
  { name: 'own', workloadProfileType: workloadProfile, minimumCount: 1, maximumCount: maxReplicas }
]
var healthPort = 8080

resource managedEnvironment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: environmentName
  location: location
  tags: tags
  properties: {
    // The log-analytics destination would need the key of the workspace.
    appLogsConfiguration: { destination: 'azure-monitor' }
    publicNetworkAccess: 'Disabled'
    vnetConfiguration: { infrastructureSubnetId: subnetId, internal: true }
    workloadProfiles: hasOwnMachines ? concat(sharedProfile, ownProfile) : sharedProfile
  }
}

resource maintenanceWindow 'Microsoft.App/managedEnvironments/maintenanceConfigurations@2025-07-01' = if (hasOwnMachines) {
  parent: managedEnvironment
  name: 'default'
  properties: {
    scheduledEntries: [{ weekDay: 'Sunday', startHourUtc: 2, durationHours: 8 }]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: managedEnvironment
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

resource app 'Microsoft.App/containerApps@2025-07-01' = {
  name: appName
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {}, '${platformIdentityId}': {} }
  }
  properties: {
    environmentId: managedEnvironment.id
    workloadProfileName: hasOwnMachines ? 'own' : 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      maxInactiveRevisions: 5
      registries: [{ server: registryLoginServer, identity: platformIdentityId }]
      identitySettings: [
        { identity: identityId, lifecycle: 'Main' }
        { identity: platformIdentityId, lifecycle: 'None' }
      ]
    }
    template: {
      // Time to stop at a transaction boundary, flush, and give the sessions back.
      terminationGracePeriodSeconds: 600
      volumes: [{ name: 'scratch', storageType: 'EmptyDir' }]
      containers: [
        {
          name: 'worker'
          image: image
          resources: { cpu: json(resourcesOf[size].cpu), memory: resourcesOf[size].memory }
          volumeMounts: [{ volumeName: 'scratch', mountPath: '/tmp' }]
          env: [
            { name: 'PGDMS_SERVICE', value: poolName }
            { name: 'ServiceBusConnection__fullyQualifiedNamespace', value: serviceBusHostName }
            { name: 'KEY_VAULT_URI', value: keyVaultUri }
            { name: 'AZURE_CLIENT_ID', value: identityClientId }
            { name: 'AZURE_TOKEN_CREDENTIALS', value: 'ManagedIdentityCredential' }
            { name: 'HEALTH_PORT', value: string(healthPort) }
            { name: 'MAX_TASKS', value: string(maxTasks) }
            { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: applicationInsightsConnectionString }
            { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
            { name: 'STOP_GRACE_SECONDS', value: '300' }
            { name: 'LOG_LEVEL', value: 'info' }
          ]
          // "The event loop turns", not "replication is healthy": a slow target must not restart the worker.
          probes: [
            {
              type: 'Startup'
              httpGet: { path: '/healthz', port: healthPort }
              periodSeconds: 5
              failureThreshold: 24
            }
            {
              type: 'Liveness'
              httpGet: { path: '/healthz', port: healthPort }
              periodSeconds: 15
              timeoutSeconds: 5
              failureThreshold: 4
            }
          ]
        }
      ]
      scale: {
        minReplicas: minReplicas
        maxReplicas: maxReplicas
        cooldownPeriod: 900
        rules: [
          {
            name: 'commands'
            custom: {
              type: 'azure-servicebus'
              identity: platformIdentityId
              metadata: {
                namespace: serviceBusName
                queueName: 'commands-${poolName}'
                messageCount: string(maxTasks)
              }
            }
          }
        ]
      }
    }
  }
}

@description('Resource id of the app.')
output appId string = app.id

@description('Name of the app.')
output appName string = app.name
