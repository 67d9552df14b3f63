# Gives every worker pool after the first the image that azd has just deployed to the first (see roll-out-worker.sh).
$ErrorActionPreference = 'Stop'
foreach ($name in 'AZURE_RESOURCE_GROUP', 'WORKER_APP_NAMES', 'SERVICE_WORKER_IMAGE_NAME') {
  if (-not [Environment]::GetEnvironmentVariable($name)) { throw "$name is not set: run azd provision and azd deploy first" }
}
foreach ($app in ($env:WORKER_APP_NAMES -split ' ' | Select-Object -Skip 1)) {
  Write-Host "updating $app to $env:SERVICE_WORKER_IMAGE_NAME"
  az containerapp update --resource-group $env:AZURE_RESOURCE_GROUP --name $app --image $env:SERVICE_WORKER_IMAGE_NAME --output none
  if ($LASTEXITCODE -ne 0) { throw "updating $app failed" }
}
