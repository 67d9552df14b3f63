// The user-defined types that main.bicep and the modules share.

@description('How the parts reach each other. public: public endpoints that accept Microsoft Entra tokens only. private: private endpoints, the public ones are off.')
@export()
type networkMode = 'public' | 'private'

@description('A worker pool: what the API calls a service. It has its own commands queue, subnet, identity and container app.')
@export()
type workerPool = {
  @description('Name of the service in the API, and the tail of its queue: commands-<name>. Lower-case letters, digits and hyphens.')
  @minLength(2)
  @maxLength(20)
  name: string

  @description('Size of one replica. small: 1 vCPU, 2 GiB. medium: 2 vCPU, 4 GiB. large: 4 vCPU, 8 GiB. Default: medium.')
  size: ('small' | 'medium' | 'large')?

  @description('Replicas that are always there. Below 1 the pool may sleep between migrations. Default: 1.')
  @minValue(0)
  @maxValue(10)
  minReplicas: int?

  @description('Replicas at most. Migrations spread over them, one replica owns a migration. Default: 4.')
  @minValue(1)
  @maxValue(30)
  maxReplicas: int?

  @description('Migrations that one replica runs at the same time. Default: 4.')
  @minValue(1)
  @maxValue(32)
  maxTasks: int?

  @description('Machines of its own instead of shared ones: room on disk, and a maintenance window. Default: Consumption.')
  workloadProfile: ('Consumption' | 'D4' | 'D8' | 'D16')?
}

@description('A source or target that lies outside the virtual network and the networks peered with it.')
@export()
type databaseEndpoint = {
  @description('Short name, used in the name of the rule. Letters, digits and hyphens.')
  @minLength(1)
  @maxLength(40)
  name: string

  @description('CIDR range, address, or service tag. A host name cannot stand in such a rule.')
  addressPrefix: string

  @description('Ports of the database and of a pooler before it. Default: 5432, 5433, 6432.')
  ports: string[]?
}

@description('A virtual network that is already there. Its routes, rules and DNS are yours; docs/deploy.md lists what they must allow.')
@export()
type existingNetwork = {
  @description('Resource id of the virtual network.')
  virtualNetworkId: string

  @description('One subnet for each worker pool, in the order of the pools, /27 or larger, delegated to Microsoft.App/environments.')
  workerSubnetIds: string[]

  @description('Subnet for the Functions app, /27 or larger, delegated to Microsoft.App/environments. Needed in private mode.')
  functionsSubnetId: string?

  @description('Subnet for private endpoints. Needed in private mode.')
  endpointsSubnetId: string?

  @description('Subnet delegated to Microsoft.DBforPostgreSQL/flexibleServers. Needed when a target is deployed.')
  postgresSubnetId: string?

  @description('False when a policy of yours writes the DNS records of private endpoints. Default: true.')
  createDnsZones: bool?
}

@description('An Azure Database for PostgreSQL flexible server to migrate into.')
@export()
type flexibleServer = {
  @description('Major version. Never lower than the version of the source.')
  version: '14' | '15' | '16' | '17' | '18'

  @description('Compute size, such as Standard_D4ds_v5.')
  skuName: string

  @description('Tier that the size belongs to.')
  skuTier: 'Burstable' | 'GeneralPurpose' | 'MemoryOptimized'

  @description('Storage in GiB. At least 1.25 times the size of the source. It grows by itself and never shrinks.')
  @minValue(32)
  @maxValue(32767)
  storageSizeGB: int

  @description('Databases to create, empty.')
  databases: string[]

  @description('Extensions that the source uses, for the allow-list of the server.')
  extensions: string[]?

  @description('Microsoft Entra administrators.')
  administrators: entraAdministrator[]
}

@description('A Microsoft Entra principal that administers the flexible server.')
@export()
type entraAdministrator = {
  @description('Object id of the principal.')
  objectId: string

  @description('Name of the principal as Microsoft Entra shows it; it becomes the name of the role.')
  name: string

  @description('Kind of the principal.')
  type: 'User' | 'Group' | 'ServicePrincipal'
}

@description('A private endpoint to make.')
@export()
type privateEndpoint = {
  @description('Short name, part of the name of the endpoint.')
  name: string

  @description('Resource id of the service behind it.')
  targetId: string

  @description('Group id (sub-resource) of the service.')
  groupId: string

  @description('Private DNS zone that answers for it. Each zone belongs to one endpoint of a virtual network.')
  zone: string
}
