// The image that a worker runs now, so that provisioning again does not put the placeholder back in the middle of a migration.

@description('Name of the app.')
param appName string

resource app 'Microsoft.App/containerApps@2025-07-01' existing = {
  name: appName
}

@description('Image of its first container.')
output image string = app.properties.template.containers[0].image
