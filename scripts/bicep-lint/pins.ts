/**
 * The API version of each resource type, one place for all templates. They stay a step behind the newest, so that older
 * Bicep CLIs know them and all regions serve them. Children follow their parent.
 */
export const pins: Readonly<Record<string, string>> = {
  "Microsoft.App/containerApps": "2025-07-01",
  "Microsoft.App/managedEnvironments": "2025-07-01",
  "Microsoft.Authorization/roleAssignments": "2022-04-01",
  "Microsoft.ContainerRegistry/registries": "2025-04-01",
  "Microsoft.DBforPostgreSQL/flexibleServers": "2025-08-01",
  "Microsoft.Insights/actionGroups": "2023-01-01",
  "Microsoft.Insights/components": "2020-02-02",
  "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
  "Microsoft.Insights/metricAlerts": "2018-03-01",
  "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
  "Microsoft.Insights/workbooks": "2023-06-01",
  "Microsoft.KeyVault/vaults": "2024-11-01",
  "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
  "Microsoft.Network/natGateways": "2025-05-01",
  "Microsoft.Network/networkSecurityGroups": "2025-05-01",
  "Microsoft.Network/privateDnsZones": "2024-06-01",
  "Microsoft.Network/privateEndpoints": "2025-05-01",
  "Microsoft.Network/publicIPAddresses": "2025-05-01",
  "Microsoft.Network/virtualNetworks": "2025-05-01",
  "Microsoft.OperationalInsights/workspaces": "2025-07-01",
  "Microsoft.Resources/resourceGroups": "2025-04-01",
  "Microsoft.ServiceBus/namespaces": "2024-01-01",
  "Microsoft.Storage/storageAccounts": "2025-01-01",
  "Microsoft.Web/serverfarms": "2024-11-01",
  "Microsoft.Web/sites": "2024-11-01",
};

/** The generally available version of this type is older and unusable; everyone uses the preview. */
export const allowedPreviews: ReadonlySet<string> = new Set(["Microsoft.Insights/diagnosticSettings"]);
