// The virtual network: one subnet for each worker pool, one for the Functions app, one for private endpoints, one for a target.
// Nothing comes in. Everything goes out through one static address.

import { databaseEndpoint, workerPool } from '../types.bicep'

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the virtual network.')
param virtualNetworkName string

@description('Prefix of the names of network security groups.')
param securityGroupPrefix string

@description('Name of the NAT gateway.')
param natGatewayName string

@description('Name of the public address of the NAT gateway.')
param publicIpName string

@description('Address space, /20 or larger. The first /24 holds the small subnets, each pool takes a /24 after it.')
param addressPrefix string

@description('Worker pools, each of which gets a subnet.')
param pools workerPool[]

@description('Sources and targets that are reached over the internet.')
param databases databaseEndpoint[]

@description('Service endpoints of the worker subnets. Microsoft.ServiceBus has an effect only with a Premium namespace.')
param serviceEndpoints string[]

var base = cidrSubnet(addressPrefix, 24, 0)
var functionsPrefix = cidrSubnet(base, 26, 0)
var endpointsPrefix = cidrSubnet(base, 26, 1)
var postgresPrefix = cidrSubnet(base, 28, 8)
var containerDelegation = [
  { name: 'container-apps', properties: { serviceName: 'Microsoft.App/environments' } }
]

resource publicIp 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: publicIpName
  location: location
  tags: tags
  sku: { name: 'Standard', tier: 'Regional' }
  properties: { publicIPAllocationMethod: 'Static', publicIPAddressVersion: 'IPv4' }
}

resource natGateway 'Microsoft.Network/natGateways@2025-05-01' = {
  name: natGatewayName
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    // Replication connections are long and may be quiet between two keep-alives.
    idleTimeoutInMinutes: 30
    publicIpAddresses: [{ id: publicIp.id }]
  }
}

// The default rules do: in from the virtual network, nothing in from the internet.
resource defaultGroup 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${securityGroupPrefix}default'
  location: location
  tags: tags
  properties: { securityRules: [] }
}

module workerGroups 'worker-security-group.bicep' = [
  for (pool, index) in pools: {
    name: 'security-group-${pool.name}'
    params: {
      name: '${securityGroupPrefix}worker-${pool.name}'
      location: location
      tags: tags
      subnetPrefix: cidrSubnet(addressPrefix, 24, index + 1)
      databases: databases
    }
  }
]

var fixedSubnets = [
  {
    name: 'snet-functions'
    properties: {
      addressPrefix: functionsPrefix
      defaultOutboundAccess: false
      delegations: containerDelegation
      natGateway: { id: natGateway.id }
      networkSecurityGroup: { id: defaultGroup.id }
    }
  }
  {
    name: 'snet-endpoints'
    properties: {
      addressPrefix: endpointsPrefix
      defaultOutboundAccess: false
      networkSecurityGroup: { id: defaultGroup.id }
      privateEndpointNetworkPolicies: 'Enabled'
    }
  }
  {
    name: 'snet-postgres'
    properties: {
      addressPrefix: postgresPrefix
      defaultOutboundAccess: false
      delegations: [
        { name: 'postgres', properties: { serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers' } }
      ]
      networkSecurityGroup: { id: defaultGroup.id }
      serviceEndpoints: [{ service: 'Microsoft.Storage' }]
    }
  }
]

var endpointList = [for service in serviceEndpoints: { service: service }]

// Ids by name: the body of a loop in a variable may hold only what is known before the deployment starts.
var workerSubnets = [
  for (pool, index) in pools: {
    name: 'snet-worker-${pool.name}'
    properties: {
      addressPrefix: cidrSubnet(addressPrefix, 24, index + 1)
      defaultOutboundAccess: false
      delegations: containerDelegation
      natGateway: { id: resourceId('Microsoft.Network/natGateways', natGatewayName) }
      networkSecurityGroup: {
        id: resourceId('Microsoft.Network/networkSecurityGroups', '${securityGroupPrefix}worker-${pool.name}')
      }
      serviceEndpoints: endpointList
    }
  }
]

// Subnets stand inside the network: as resources of their own, a second deployment would first remove them.
resource virtualNetwork 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: virtualNetworkName
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: concat(fixedSubnets, workerSubnets)
  }
  dependsOn: [workerGroups]
}

@description('Resource id of the virtual network.')
output virtualNetworkId string = virtualNetwork.id

@description('Resource id of the subnet of the Functions app.')
output functionsSubnetId string = '${virtualNetwork.id}/subnets/snet-functions'

@description('Resource id of the subnet of the private endpoints.')
output endpointsSubnetId string = '${virtualNetwork.id}/subnets/snet-endpoints'

@description('Resource id of the subnet of a flexible server.')
output postgresSubnetId string = '${virtualNetwork.id}/subnets/snet-postgres'

@description('Resource ids of the subnets of the worker pools, in their order.')
output workerSubnetIds string[] = [for pool in pools: '${virtualNetwork.id}/subnets/snet-worker-${pool.name}']

@description('The one address from which workers reach a source or target over the internet.')
output outboundIpAddress string = publicIp.properties.ipAddress
