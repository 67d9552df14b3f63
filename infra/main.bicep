// pgdms in one subscription: names, tags and wiring. Everything else is in modules/.

targetScope = 'subscription'

import { databaseEndpoint, existingNetwork, flexibleServer, networkMode, workerPool } from 'types.bicep'

@description('Short name of this installation, part of every name.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Region of all resources. Best near the targets.')
param location string = deployment().location

@description('public: Service Bus Standard and public endpoints that accept Microsoft Entra tokens only. private: Service Bus Premium and private endpoints.')
param mode networkMode = 'public'

@description('Private mode only: public keeps the API and the push side of the registry reachable from the internet, with a token; private closes them too, and deployments must then come from inside the virtual network.')
param inboundAccess networkMode = 'public'

@description('Worker pools. The name of a pool is the name of the service in the API.')
@minLength(1)
@maxLength(15)
param services workerPool[] = [{ name: 'pgdms' }]

@description('Client id of the app registration of the API. docs/deploy.md has the commands that make one.')
@minLength(36)
@maxLength(36)
param apiClientId string

@description('Audience that tokens must carry. Empty: the client id, as in version 2 tokens.')
param apiAudience string = ''

@description('Paths that need no token: the health probe and the files of the web page. The API is never among them.')
param openPaths string[] = ['/health', '/portal', '/portal/*']

@description('Address space of the virtual network, /20 or larger for up to 15 pools.')
param virtualNetworkPrefix string = '10.90.0.0/20'

@description('A virtual network of yours, used instead of a new one.')
param network existingNetwork?

@description('Sources and targets that are not inside the virtual network, a peered one, or behind VPN or ExpressRoute. All else on the internet is closed to the workers.')
param databases databaseEndpoint[] = []

@description('Service endpoints of the worker subnets.')
param serviceEndpoints string[] = ['Microsoft.Storage', 'Microsoft.KeyVault']

@description('A flexible server to migrate into. Leave it out when the target exists.')
param target flexibleServer?

@description('Name of an administrator of the new target that logs in with a password. Empty: Microsoft Entra only.')
param targetAdministratorLogin string = ''

@description('Password of that administrator.')
@secure()
param targetAdministratorPassword string = ''

@description('Image of the worker. Empty: the one that runs now, or a placeholder at the first deployment.')
param workerImage string = ''

@description('Whether the app of the first pool exists already; azd knows.')
param workerExists bool = false

@description('Major version of Node.js of the Functions app.')
param nodeVersion '22' | '24' = '22'

@description('Instances of the API that are always warm.')
@minValue(0)
@maxValue(10)
param alwaysReadyInstances int = 0

@description('When the watchdog runs: NCRONTAB with seconds, UTC.')
param watchdogSchedule string = '0 */1 * * * *'

@description('Redundancy of the state of the control plane.')
param storageSku 'Standard_LRS' | 'Standard_ZRS' | 'Standard_GZRS' = 'Standard_ZRS'

@description('Protect deleted secrets from being purged. For production; it can never be switched off.')
param purgeProtection bool = false

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Names of subscriptions of the topic events, for automation.')
param eventSubscriptions string[] = []

@description('Object ids of service principals that send to the queue requests and read the topic events.')
param automationPrincipalIds string[] = []

@description('Addresses that alerts are mailed to.')
param alertEmailAddresses string[] = []

@description('WAL in GiB that a migration may hold back on its source before someone is told.')
@minValue(1)
param walBudgetGB int = 50

@description('Minutes that a target may lag before someone is told.')
@minValue(1)
param lagMinutes int = 15

@description('Whether the control plane and the workers send traces and metrics to Application Insights: what the workbook shows. Logs and alerts do not need it.')
param telemetry bool = true

@description('More tags for every resource.')
param tags object = {}

var abbreviations = loadJsonContent('abbreviations.json')
var token = take(toLower(uniqueString(subscription().id, environmentName, location)), 8)
var shortName = take(replace(replace(toLower(environmentName), '-', ''), '_', ''), 10)
var suffix = '${shortName}-${token}'
var allTags = union(tags, { 'azd-env-name': environmentName, workload: 'pgdms' })

// The tag by which azd finds where to deploy the worker must be on one app only; a hook of azure.yaml carries the image to the rest.
var workerTags = [for (service, index) in services: index == 0 ? { 'azd-service-name': 'worker' } : {}]
var poolNames = [for service in services: service.name]
var workerAppNames = [for service in services: '${abbreviations.containerApp}${service.name}-${token}']
var minReplicasOf = [for service in services: service.?minReplicas ?? 1]
var alwaysOn = [for service in services: (service.?minReplicas ?? 1) > 0]

// Listens on 8080 and answers /healthz, as the worker does, so the probes are right from the first deployment on.
var placeholderImage = 'mcr.microsoft.com/dotnet/samples:aspnetapp'

var isPrivate = mode == 'private'
var isOpen = !isPrivate || inboundAccess == 'public'
var hasNetwork = network != null
var tableNames = ['Services', 'Operations', 'Projects', 'Tasks', 'TaskIndex', 'TaskOutputs', 'Commands', 'Workers', 'Requests', 'Outbox']

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: '${abbreviations.resourceGroup}${environmentName}'
  location: location
  tags: allTags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    location: location
    tags: allTags
    namePrefix: '${abbreviations.managedIdentity}${shortName}-'
    token: token
    poolNames: poolNames
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: allTags
    workspaceName: '${abbreviations.logAnalyticsWorkspace}${suffix}'
    applicationInsightsName: '${abbreviations.applicationInsights}${suffix}'
    retentionInDays: logRetentionDays
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    workerPrincipalIds: identity.outputs.workerPrincipalIds
    poolNames: poolNames
  }
}

module newNetwork 'modules/network.bicep' = if (!hasNetwork) {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: allTags
    virtualNetworkName: '${abbreviations.virtualNetwork}${suffix}'
    securityGroupPrefix: '${abbreviations.networkSecurityGroup}${shortName}-'
    natGatewayName: '${abbreviations.natGateway}${suffix}'
    publicIpName: '${abbreviations.publicIpAddress}${suffix}'
    addressPrefix: virtualNetworkPrefix
    pools: services
    databases: databases
    serviceEndpoints: serviceEndpoints
  }
}

var virtualNetworkId = hasNetwork ? network!.virtualNetworkId : newNetwork!.outputs.virtualNetworkId
var functionsSubnetId = hasNetwork ? (network!.?functionsSubnetId ?? '') : newNetwork!.outputs.functionsSubnetId
var endpointsSubnetId = hasNetwork ? (network!.?endpointsSubnetId ?? '') : newNetwork!.outputs.endpointsSubnetId
var postgresSubnetId = hasNetwork ? (network!.?postgresSubnetId ?? '') : newNetwork!.outputs.postgresSubnetId
var workerSubnetIds = hasNetwork ? network!.workerSubnetIds : newNetwork!.outputs.workerSubnetIds
var createDnsZones = network.?createDnsZones ?? true

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: '${abbreviations.storageAccount}${shortName}${token}'
    location: location
    tags: allTags
    mode: mode
    skuName: storageSku
    tableNames: tableNames
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  name: 'service-bus'
  scope: group
  params: {
    name: '${abbreviations.serviceBusNamespace}${suffix}'
    location: location
    tags: allTags
    mode: mode
    poolNames: poolNames
    eventSubscriptions: eventSubscriptions
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    workerPrincipalIds: identity.outputs.workerPrincipalIds
    platformPrincipalId: identity.outputs.platformPrincipalId
    automationPrincipalIds: automationPrincipalIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module keyVault 'modules/key-vault.bicep' = {
  name: 'key-vault'
  scope: group
  params: {
    name: '${abbreviations.keyVault}${suffix}'
    location: location
    tags: allTags
    mode: mode
    purgeProtection: purgeProtection
    functionsPrincipalId: identity.outputs.functionsPrincipalId
    workerPrincipalIds: identity.outputs.workerPrincipalIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module registry 'modules/registry.bicep' = {
  name: 'registry'
  scope: group
  params: {
    name: '${abbreviations.containerRegistry}${shortName}${token}'
    location: location
    tags: allTags
    mode: mode
    publicAccess: isOpen
    platformPrincipalId: identity.outputs.platformPrincipalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module dataEndpoints 'modules/private-endpoints.bicep' = if (isPrivate) {
  name: 'data-endpoints'
  scope: group
  params: {
    location: location
    tags: allTags
    namePrefix: '${abbreviations.privateEndpoint}${shortName}-'
    subnetId: endpointsSubnetId
    virtualNetworkId: virtualNetworkId
    createDnsZones: createDnsZones
    endpoints: [
      { name: 'blob', targetId: storage.outputs.id, groupId: 'blob', zone: 'privatelink.blob.${environment().suffixes.storage}' }
      { name: 'table', targetId: storage.outputs.id, groupId: 'table', zone: 'privatelink.table.${environment().suffixes.storage}' }
      { name: 'bus', targetId: serviceBus.outputs.id, groupId: 'namespace', zone: 'privatelink.servicebus.windows.net' }
      { name: 'vault', targetId: keyVault.outputs.id, groupId: 'vault', zone: 'privatelink.vaultcore.azure.net' }
      { name: 'registry', targetId: registry.outputs.id, groupId: 'registry', zone: 'privatelink.azurecr.io' }
    ]
  }
}

module functions 'modules/functions.bicep' = {
  name: 'functions'
  scope: group
  params: {
    name: '${abbreviations.functionApp}${suffix}'
    planName: '${abbreviations.functionPlan}${suffix}'
    location: location
    tags: allTags
    nodeVersion: nodeVersion
    alwaysReadyInstances: alwaysReadyInstances
    identityId: identity.outputs.functionsId
    identityClientId: identity.outputs.functionsClientId
    storageAccountName: storage.outputs.name
    packageContainerUrl: storage.outputs.packageContainerUrl
    tablesEndpoint: storage.outputs.tablesEndpoint
    serviceBusHostName: serviceBus.outputs.hostName
    reportsQueue: serviceBus.outputs.reportsQueue
    requestsQueue: serviceBus.outputs.requestsQueue
    eventsTopic: serviceBus.outputs.eventsTopic
    lagMinutes: lagMinutes
    walBudgetGB: walBudgetGB
    keyVaultUri: keyVault.outputs.uri
    applicationInsightsConnectionString: monitoring.outputs.applicationInsightsConnectionString
    telemetry: telemetry
    apiClientId: apiClientId
    apiAudience: empty(apiAudience) ? apiClientId : apiAudience
    openPaths: openPaths
    watchdogSchedule: watchdogSchedule
    subnetId: isPrivate ? functionsSubnetId : ''
    publicAccess: isOpen
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [dataEndpoints]
}

module apiEndpoint 'modules/private-endpoints.bicep' = if (!isOpen) {
  name: 'api-endpoint'
  scope: group
  params: {
    location: location
    tags: allTags
    namePrefix: '${abbreviations.privateEndpoint}${shortName}-'
    subnetId: endpointsSubnetId
    virtualNetworkId: virtualNetworkId
    createDnsZones: createDnsZones
    endpoints: [
      { name: 'api', targetId: functions.outputs.id, groupId: 'sites', zone: 'privatelink.azurewebsites.net' }
    ]
  }
}

module currentImage 'modules/current-image.bicep' = if (workerExists && empty(workerImage)) {
  name: 'current-image'
  scope: group
  params: {
    appName: workerAppNames[0]
  }
}

module workers 'modules/worker.bicep' = [
  for (service, index) in services: {
    name: 'worker-${service.name}'
    scope: group
    params: {
      poolName: service.name
      environmentName: '${abbreviations.containerAppsEnvironment}${service.name}-${token}'
      appName: workerAppNames[index]
      location: location
      tags: union(allTags, workerTags[index])
      subnetId: workerSubnetIds[index]
      image: !empty(workerImage) ? workerImage : (workerExists ? currentImage!.outputs.image : placeholderImage)
      size: service.?size ?? 'medium'
      minReplicas: minReplicasOf[index]
      maxReplicas: service.?maxReplicas ?? 4
      maxTasks: service.?maxTasks ?? 4
      workloadProfile: service.?workloadProfile ?? 'Consumption'
      identityId: identity.outputs.workerIds[index]
      identityClientId: identity.outputs.workerClientIds[index]
      platformIdentityId: identity.outputs.platformId
      registryLoginServer: registry.outputs.loginServer
      serviceBusName: serviceBus.outputs.name
      serviceBusHostName: serviceBus.outputs.hostName
      keyVaultUri: keyVault.outputs.uri
      applicationInsightsConnectionString: telemetry ? monitoring.outputs.applicationInsightsConnectionString : ''
      workspaceId: monitoring.outputs.workspaceId
    }
    dependsOn: [dataEndpoints]
  }
]

module postgres 'modules/postgres.bicep' = if (target != null) {
  name: 'postgres'
  scope: group
  params: {
    name: '${abbreviations.postgresServer}${suffix}'
    location: location
    tags: allTags
    server: target!
    subnetId: postgresSubnetId
    virtualNetworkId: virtualNetworkId
    workerPrincipalIds: identity.outputs.workerPrincipalIds
    workerNames: identity.outputs.workerNames
    administratorLogin: targetAdministratorLogin
    administratorPassword: targetAdministratorPassword
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: allTags
    actionGroupName: '${abbreviations.actionGroup}${suffix}'
    emailAddresses: alertEmailAddresses
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
    reportsQueue: serviceBus.outputs.reportsQueue
    workerAppIds: [for (service, index) in services: workers[index].outputs.appId]
    workersAlwaysOn: alwaysOn
    walBudgetGB: walBudgetGB
    lagMinutes: lagMinutes
  }
}

@description('Region.')
output AZURE_LOCATION string = location

@description('Resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Host name of the registry; azd pushes the image of the worker there.')
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = registry.outputs.loginServer

@description('Name of the registry.')
output AZURE_CONTAINER_REGISTRY_NAME string = registry.outputs.name

@description('Address of the API.')
output API_URL string = functions.outputs.url

@description('Name of the Functions app.')
output FUNCTION_APP_NAME string = functions.outputs.name

@description('Names of the apps of the worker pools, separated by blanks.')
output WORKER_APP_NAMES string = join(workerAppNames, ' ')

@description('Names of the identities of the worker pools, separated by blanks: the roles to create in an Azure target that uses Microsoft Entra.')
output WORKER_IDENTITY_NAMES string = join(identity.outputs.workerNames, ' ')

@description('The address from which workers reach databases over the internet: let it in on the source. Empty with a network of yours.')
output OUTBOUND_IP_ADDRESS string = hasNetwork ? '' : newNetwork!.outputs.outboundIpAddress

@description('Host name of the Service Bus namespace, for automation.')
output SERVICE_BUS_HOST_NAME string = serviceBus.outputs.hostName

@description('Address of the vault.')
output KEY_VAULT_URI string = keyVault.outputs.uri

@description('Host name of the target, when one was deployed.')
output TARGET_HOST_NAME string = target == null ? '' : postgres!.outputs.hostName
