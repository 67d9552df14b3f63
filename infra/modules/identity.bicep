// Who is who: one identity for the Functions app, one for each worker pool, and one that only the platform uses.

@description('Region of the identities.')
param location string

@description('Tags of every resource.')
param tags object

@description('Prefix of the names, with the abbreviation of the type.')
param namePrefix string

@description('Token that makes the names unique.')
param token string

@description('Names of the worker pools.')
param poolNames string[]

resource functions 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${namePrefix}functions-${token}'
  location: location
  tags: tags
}

// Pulls images and reads queue lengths. Containers never get a token of it (see worker.bicep), so a worker that was taken over
// can neither pull images nor listen to the queue of another pool.
resource platform 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${namePrefix}platform-${token}'
  location: location
  tags: tags
}

resource workers 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for poolName in poolNames: {
    name: '${namePrefix}worker-${poolName}-${token}'
    location: location
    tags: tags
  }
]

@description('Resource id of the identity of the Functions app.')
output functionsId string = functions.id

@description('Client id of the identity of the Functions app.')
output functionsClientId string = functions.properties.clientId

@description('Object id of the identity of the Functions app.')
output functionsPrincipalId string = functions.properties.principalId

@description('Resource id of the identity of the platform.')
output platformId string = platform.id

@description('Object id of the identity of the platform.')
output platformPrincipalId string = platform.properties.principalId

@description('Resource ids of the identities of the worker pools, in their order.')
output workerIds string[] = [for (poolName, index) in poolNames: workers[index].id]

@description('Client ids of the identities of the worker pools, in their order.')
output workerClientIds string[] = [for (poolName, index) in poolNames: workers[index].properties.clientId]

@description('Object ids of the identities of the worker pools, in their order.')
output workerPrincipalIds string[] = [for (poolName, index) in poolNames: workers[index].properties.principalId]

@description('Names of the identities of the worker pools, in their order: the names of their roles in an Azure PostgreSQL target.')
output workerNames string[] = [for (poolName, index) in poolNames: workers[index].name]
