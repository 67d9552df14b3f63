// Private endpoints with the DNS zones that answer for them. Each zone is made once for a virtual network, so each endpoint given
// here must have a zone of its own.

import { privateEndpoint } from '../types.bicep'

@description('Region of the endpoints.')
param location string

@description('Tags of every resource.')
param tags object

@description('Prefix of the names of the endpoints.')
param namePrefix string

@description('The endpoints.')
param endpoints privateEndpoint[]

@description('Subnet of the endpoints.')
param subnetId string

@description('Virtual network that resolves the names.')
param virtualNetworkId string

@description('False when a policy writes the DNS records.')
param createDnsZones bool

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for endpoint in endpoints: if (createDnsZones) {
    name: endpoint.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (endpoint, index) in endpoints: if (createDnsZones) {
    parent: zones[index]
    name: 'to-${uniqueString(virtualNetworkId)}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: virtualNetworkId }
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for endpoint in endpoints: {
    name: '${namePrefix}${endpoint.name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: endpoint.targetId
            groupIds: [endpoint.groupId]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (endpoint, index) in endpoints: if (createDnsZones) {
    parent: privateEndpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        { name: endpoint.name, properties: { privateDnsZoneId: zones[index].id } }
      ]
    }
    dependsOn: [links[index]]
  }
]
