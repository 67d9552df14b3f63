// The control plane: a Functions app on the Flex Consumption plan.

@description('Name of the app. Its first 32 characters name the host in its storage, so keep it shorter.')
@maxLength(32)
param name string

@description('Name of the plan.')
param planName string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Major version of Node.js.')
param nodeVersion '22' | '24'

@description('Replicas for HTTP that are always warm. 0 saves money and costs a cold start.')
@minValue(0)
@maxValue(10)
param alwaysReadyInstances int

@description('Resource id of the identity of the app.')
param identityId string

@description('Client id of the identity of the app.')
param identityClientId string

@description('Name of the storage account.')
param storageAccountName string

@description('Address of the container that holds the package.')
param packageContainerUrl string

@description('Address of the tables.')
param tablesEndpoint string

@description('Host name of the Service Bus namespace.')
param serviceBusHostName string

@description('Name of the queue of reports.')
param reportsQueue string

@description('Name of the queue of requests.')
param requestsQueue string

@description('Name of the topic of events.')
param eventsTopic string

@description('Address of the vault.')
param keyVaultUri string

@description('Minutes that a target may lag behind its source before a warning is published.')
@minValue(1)
param lagMinutes int

@description('WAL in GiB that a migration may hold back on its source before a warning is published.')
@minValue(1)
param walBudgetGB int

@description('Connection string of Application Insights.')
param applicationInsightsConnectionString string

@description('Whether the control plane sends traces and metrics of its own, beside what the platform notes of each call.')
param telemetry bool

@description('Client id of the app registration of the API.')
@minLength(36)
@maxLength(36)
param apiClientId string

@description('Audience that tokens must carry.')
param apiAudience string

@description('Paths that need no token: the health probe and the files of the web page. The API itself is never among them.')
param openPaths string[]

@description('When the watchdog runs: NCRONTAB with seconds, UTC.')
param watchdogSchedule string

@description('Subnet for outbound traffic. Empty in public mode.')
param subnetId string

@description('Whether the API answers from the internet.')
param publicAccess bool

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

var alwaysReady = alwaysReadyInstances > 0 ? [{ name: 'http', instanceCount: alwaysReadyInstances }] : []

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
    }
    functionAppConfig: {
      runtime: { name: 'node', version: nodeVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        alwaysReady: alwaysReady
        triggers: { http: { perInstanceConcurrency: 16 } }
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
    }
  }

  resource noFtpPasswords 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource noDeploymentPasswords 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

// The whole set: a deployment replaces what someone typed into the portal.
resource settings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: {
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
    APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
    AUTH_AUDIENCE: apiAudience
    AUTH_MODE: 'entra'
    AUTH_TENANT_ID: subscription().tenantId
    AZURE_CLIENT_ID: identityClientId
    AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential'
    AzureWebJobsDisableHomepage: 'true'
    AzureWebJobsStorage__accountName: storageAccountName
    AzureWebJobsStorage__clientId: identityClientId
    AzureWebJobsStorage__credential: 'managedidentity'
    EVENTS_TOPIC: eventsTopic
    KEY_VAULT_URI: keyVaultUri
    LAG_WARNING_MINUTES: string(lagMinutes)
    OTEL_SDK_DISABLED: telemetry ? 'false' : 'true'
    REPORTS_QUEUE: reportsQueue
    REQUESTS_QUEUE: requestsQueue
    ServiceBusConnection__clientId: identityClientId
    ServiceBusConnection__credential: 'managedidentity'
    ServiceBusConnection__fullyQualifiedNamespace: serviceBusHostName
    TABLES_ENDPOINT: tablesEndpoint
    WAL_WARNING_GIB: string(walBudgetGB)
    WATCHDOG_CRON: watchdogSchedule
  }
}

// The platform refuses a call without a token before our code sees it, and our code checks the token again.
// dependsOn: two writes of the configuration at once restart the app twice and can collide.
resource authentication 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true, runtimeVersion: '~1' }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: openPaths
    }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: apiClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${subscription().tenantId}/v2.0'
        }
        validation: { allowedAudiences: union([apiClientId], [apiAudience]) }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
  dependsOn: [settings]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the app.')
output id string = app.id

@description('Name of the app.')
output name string = app.name

@description('Address of the API.')
output url string = 'https://${app.properties.defaultHostName}'
