#!/bin/sh
# Gives every worker pool after the first the image that azd has just deployed to the first.
# azd sets the variables: AZURE_RESOURCE_GROUP, WORKER_APP_NAMES (outputs of main.bicep), SERVICE_WORKER_IMAGE_NAME.
set -eu

: "${AZURE_RESOURCE_GROUP:?run azd provision first}"
: "${WORKER_APP_NAMES:?run azd provision first}"
: "${SERVICE_WORKER_IMAGE_NAME:?run azd deploy worker first}"

# shellcheck disable=SC2086 # the names are separated by blanks on purpose
set -- $WORKER_APP_NAMES
shift
for app in "$@"; do
  echo "updating $app to $SERVICE_WORKER_IMAGE_NAME"
  az containerapp update --resource-group "$AZURE_RESOURCE_GROUP" --name "$app" --image "$SERVICE_WORKER_IMAGE_NAME" --output none
done
