// What wakes a person. docs/operations.md has the answer to each of them.

@description('Region of the rules that read logs.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the action group.')
param actionGroupName string

@description('Addresses that get the mails. Empty: the alerts show in the portal only.')
param emailAddresses string[]

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Resource id of the Service Bus namespace.')
param serviceBusId string

@description('Name of the queue of reports, which holds the heartbeats of the workers.')
param reportsQueue string

@description('Resource ids of the apps of the worker pools.')
param workerAppIds string[]

@description('Whether each pool always has a replica, in the order of the pools, so that silence is a fault.')
param workersAlwaysOn bool[]

@description('WAL in GiB that a migration may hold back on its source before someone is told. Half of what the disk can spare is a good figure.')
@minValue(1)
param walBudgetGB int

@description('Minutes that a target may lag behind its source before someone is told.')
@minValue(1)
param lagMinutes int

var actions = [{ actionGroupId: actionGroup.id }]
var bytesPerGB = 1073741824

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'pgdms'
    emailReceivers: [
      for (emailAddress, index) in emailAddresses: {
        name: 'mail-${index}'
        emailAddress: emailAddress
        useCommonAlertSchema: true
      }
    ]
  }
}

resource deadLetters 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'pgdms dead letters'
  location: 'global'
  tags: tags
  properties: {
    description: 'A queue or subscription holds messages that nobody could handle.'
    severity: 2
    enabled: true
    scopes: [serviceBusId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'dead-letters'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'DeadletteredMessages'
          dimensions: [{ name: 'EntityName', operator: 'Include', values: ['*'] }]
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Maximum'
        }
      ]
    }
    actions: actions
  }
}

resource noReports 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: 'pgdms no heartbeat'
  location: 'global'
  tags: tags
  properties: {
    description: 'No worker at all has reported for five minutes.'
    severity: 1
    enabled: contains(workersAlwaysOn, true)
    scopes: [serviceBusId]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'no-reports'
          metricNamespace: 'Microsoft.ServiceBus/namespaces'
          metricName: 'IncomingMessages'
          dimensions: [{ name: 'EntityName', operator: 'Include', values: [reportsQueue] }]
          operator: 'LessThan'
          threshold: 1
          timeAggregation: 'Total'
        }
      ]
    }
    actions: actions
  }
}

resource silentWorkers 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for (appId, index) in workerAppIds: {
    name: 'pgdms worker silent ${index}'
    location: 'global'
    tags: tags
    properties: {
      description: 'A worker pool has no replica.'
      severity: 1
      enabled: workersAlwaysOn[index]
      scopes: [appId]
      evaluationFrequency: 'PT1M'
      windowSize: 'PT5M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'replicas'
            metricNamespace: 'Microsoft.App/containerApps'
            metricName: 'Replicas'
            operator: 'LessThan'
            threshold: 1
            timeAggregation: 'Maximum'
          }
        ]
      }
      actions: actions
    }
  }
]

resource restarts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for (appId, index) in workerAppIds: {
    name: 'pgdms worker restarts ${index}'
    location: 'global'
    tags: tags
    properties: {
      description: 'A worker restarts again and again.'
      severity: 2
      enabled: true
      scopes: [appId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT30M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'restarts'
            metricNamespace: 'Microsoft.App/containerApps'
            metricName: 'RestartCount'
            operator: 'GreaterThan'
            threshold: 3
            timeAggregation: 'Maximum'
          }
        ]
      }
      actions: actions
    }
  }
]

// The tables of a new workspace come with their first rows, so the queries cannot be validated before.
resource failedTasks 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'pgdms failed tasks'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'pgdms failed tasks'
    description: 'A task has failed.'
    severity: 1
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('../queries/task-failed.kql')
          timeAggregation: 'Count'
          dimensions: [{ name: 'Task', operator: 'Include', values: ['*'] }]
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: [actionGroup.id] }
  }
}

var levels = [
  {
    name: 'pgdms WAL budget'
    description: 'A slot holds back so much WAL that the disk of a source is in danger.'
    query: loadTextContent('../queries/wal-held.kql')
    threshold: walBudgetGB * bytesPerGB
  }
  {
    name: 'pgdms lag'
    description: 'A target falls behind its source.'
    query: loadTextContent('../queries/lag.kql')
    threshold: lagMinutes * 60
  }
]

resource levelRules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in levels: {
    name: rule.name
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.name
      description: rule.description
      severity: 2
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT5M'
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Maximum'
            metricMeasureColumn: 'Value'
            dimensions: [
              { name: 'Task', operator: 'Include', values: ['*'] }
              { name: 'Database', operator: 'Include', values: ['*'] }
            ]
            operator: 'GreaterThan'
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 2, minFailingPeriodsToAlert: 2 }
          }
        ]
      }
      actions: { actionGroups: [actionGroup.id] }
    }
  }
]
