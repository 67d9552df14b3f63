// The names that Bicep itself brings, as far as templates for deployments and parameter files use them.

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

export const decoratorNames = words(`
  allowed batchSize description discriminator export maxLength maxValue metadata minLength minValue onlyIfNotExists
  retryOn sealed secure waitUntil`);

export const functionNames = words(`
  any array base64 base64ToJson base64ToString bool cidrHost cidrSubnet concat contains dataUri dataUriToString dateTimeAdd
  dateTimeFromEpoch dateTimeToEpoch deployer deployment empty endsWith environment extensionResourceId fail filter first
  flatten format getSecret groupBy guid indexOf int intersection items join json last lastIndexOf length list listAccountSas
  listKeys listSecrets loadDirectoryFileInfo loadFileAsBase64 loadJsonContent loadTextContent loadYamlContent managementGroup
  managementGroupResourceId map mapValues max min newGuid objectKeys padLeft parseCidr parseUri pickZones providers range
  readEnvironmentVariable reduce reference replace resourceGroup resourceId shallowMerge skip sort split startsWith string
  subscription subscriptionResourceId substring take tenant tenantResourceId toLogicalZone toLogicalZones toLower toObject
  toPhysicalZone toPhysicalZones toUpper trim tryGet union uniqueString uri uriComponent uriComponentToString utcNow`);

/** The two namespaces that may stand before a function. */
export const namespaceNames = words("az sys");

export const typeNames = words("array bool int object secureObject secureString string any true false null resourceInput resourceOutput");
