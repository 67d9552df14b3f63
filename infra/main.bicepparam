using './main.bicep'

// azd and pipelines set these in the environment. A missing value without a default stops the deployment and names itself.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param mode = readEnvironmentVariable('PGDMS_NETWORK_MODE', 'public')
param inboundAccess = readEnvironmentVariable('PGDMS_INBOUND_ACCESS', 'public')
param apiClientId = readEnvironmentVariable('PGDMS_API_CLIENT_ID')
param apiAudience = readEnvironmentVariable('PGDMS_API_AUDIENCE', '')
param workerImage = readEnvironmentVariable('SERVICE_WORKER_IMAGE_NAME', '')
param workerExists = bool(readEnvironmentVariable('SERVICE_WORKER_RESOURCE_EXISTS', 'false'))
param virtualNetworkPrefix = readEnvironmentVariable('PGDMS_VNET_PREFIX', '10.90.0.0/20')
param purgeProtection = bool(readEnvironmentVariable('PGDMS_PURGE_PROTECTION', 'false'))
param alertEmailAddresses = empty(readEnvironmentVariable('PGDMS_ALERT_EMAILS', '')) ? [] : split(readEnvironmentVariable('PGDMS_ALERT_EMAILS', ''), ',')
param targetAdministratorLogin = readEnvironmentVariable('PGDMS_TARGET_ADMIN', '')
param targetAdministratorPassword = readEnvironmentVariable('PGDMS_TARGET_ADMIN_PASSWORD', '')

// Lists are written here: one entry for each worker pool, one for each database on the internet.
param services = [
  { name: 'pgdms', size: 'medium', minReplicas: 1, maxReplicas: 4 }
]
param databases = []
