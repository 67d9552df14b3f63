// The rules of a worker subnet. The classic service asked for outbound 443 to ServiceBus, Storage and AzureMonitor, and 5432 to
// the databases. This is the same list, made complete for Container Apps and closed behind it.

import { databaseEndpoint } from '../types.bicep'

@description('Name of the network security group.')
param name string

@description('Region.')
param location string

@description('Tags of the resource.')
param tags object

@description('Address range of the subnet.')
param subnetPrefix string

@description('Sources and targets outside the virtual network.')
param databases databaseEndpoint[]

// The last four are what Container Apps needs to fetch images and tokens.
var services = [
  { tag: 'ServiceBus', ports: ['443', '5671-5672'] }
  { tag: 'Storage', ports: ['443'] }
  { tag: 'AzureMonitor', ports: ['443'] }
  { tag: 'AzureKeyVault', ports: ['443'] }
  { tag: 'AzureActiveDirectory', ports: ['443'] }
  { tag: 'MicrosoftContainerRegistry', ports: ['443'] }
  { tag: 'AzureFrontDoor.FirstParty', ports: ['443'] }
  { tag: 'AzureContainerRegistry', ports: ['443'] }
]

var serviceRules = [
  for (service, index) in services: {
    name: 'allow-${replace(service.tag, '.', '-')}-out'
    properties: {
      access: 'Allow'
      direction: 'Outbound'
      priority: 100 + index * 10
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: service.tag
      destinationPortRanges: service.ports
    }
  }
]

var databaseRules = [
  for (database, index) in databases: {
    name: 'allow-database-${database.name}-out'
    properties: {
      access: 'Allow'
      direction: 'Outbound'
      priority: 300 + index
      protocol: 'Tcp'
      sourceAddressPrefix: 'VirtualNetwork'
      sourcePortRange: '*'
      destinationAddressPrefix: database.addressPrefix
      destinationPortRanges: database.?ports ?? ['5432', '5433', '6432']
    }
  }
]

var closingRules = [
  {
    name: 'deny-internet-out'
    properties: {
      access: 'Deny'
      direction: 'Outbound'
      priority: 4000
      protocol: '*'
      sourceAddressPrefix: '*'
      sourcePortRange: '*'
      destinationAddressPrefix: 'Internet'
      destinationPortRange: '*'
    }
  }
  {
    name: 'allow-own-subnet-in'
    properties: {
      access: 'Allow'
      direction: 'Inbound'
      priority: 100
      protocol: '*'
      sourceAddressPrefix: subnetPrefix
      sourcePortRange: '*'
      destinationAddressPrefix: subnetPrefix
      destinationPortRange: '*'
    }
  }
  {
    name: 'allow-load-balancer-in'
    properties: {
      access: 'Allow'
      direction: 'Inbound'
      priority: 110
      protocol: '*'
      sourceAddressPrefix: 'AzureLoadBalancer'
      sourcePortRange: '*'
      destinationAddressPrefix: '*'
      destinationPortRange: '*'
    }
  }
  {
    // The worker opens connections; nothing opens one to the worker, not even from the virtual network.
    name: 'deny-all-in'
    properties: {
      access: 'Deny'
      direction: 'Inbound'
      priority: 4000
      protocol: '*'
      sourceAddressPrefix: '*'
      sourcePortRange: '*'
      destinationAddressPrefix: '*'
      destinationPortRange: '*'
    }
  }
]

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    securityRules: concat(serviceRules, databaseRules, closingRules)
  }
}
