/**
 * Keys that the Kubernetes documentation or its components give a meaning and that hold no name of anybody's: labels,
 * annotations, taints, finalizers and application protocols on Services, EndpointSlices and Nodes.
 * Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
export const KNOWN_KEYS: ReadonlySet<string> = new Set([
  ...keys('kubernetes.io', [
    ...['service-name', 'cluster-service', 'name', 'hostname', 'os', 'arch', 'description', 'change-cause'],
    // Application protocols.
    ...['h2c', 'ws', 'wss'],
  ]),
  ...keys('app.kubernetes.io', ['component', 'created-by', 'instance', 'managed-by', 'name', 'part-of', 'version']),
  ...keys('applyset.kubernetes.io', ['id', 'part-of']),
  ...keys('addonmanager.kubernetes.io', ['mode']),
  ...keys('config.kubernetes.io', ['local-config']),
  ...keys('kubectl.kubernetes.io', ['last-applied-configuration', 'restartedAt', 'default-container']),
  ...keys('service.kubernetes.io', [
    ...['headless', 'service-proxy-name', 'topology-mode', 'topology-aware-hints', 'load-balancer-cleanup'],
  ]),
  ...keys('service.alpha.kubernetes.io', ['tolerate-unready-endpoints']),
  ...keys('service.beta.kubernetes.io', [
    ...['load-balancer-source-ranges', 'external-traffic', 'healthcheck-nodeport', 'azure-load-balancer-internal'],
    ...['aws-load-balancer-type', 'aws-load-balancer-internal', 'aws-load-balancer-scheme', 'aws-load-balancer-name'],
    ...['aws-load-balancer-backend-protocol', 'aws-load-balancer-proxy-protocol', 'aws-load-balancer-nlb-target-type'],
    ...['aws-load-balancer-cross-zone-load-balancing-enabled', 'aws-load-balancer-connection-idle-timeout'],
    ...['aws-load-balancer-ssl-cert', 'aws-load-balancer-ssl-ports', 'aws-load-balancer-target-group-attributes'],
  ]),
  ...keys('endpoints.kubernetes.io', ['last-change-trigger-time', 'over-capacity', 'managed-by']),
  ...keys('endpointslice.kubernetes.io', ['managed-by', 'skip-mirror']),
  ...keys('control-plane.alpha.kubernetes.io', ['leader']),
  ...keys('topology.kubernetes.io', ['zone', 'region']),
  ...keys('failure-domain.beta.kubernetes.io', ['zone', 'region']),
  ...keys('beta.kubernetes.io', ['os', 'arch', 'instance-type']),
  ...keys('node-role.kubernetes.io', ['control-plane', 'master']),
  ...keys('node.kubernetes.io', [
    ...['instance-type', 'windows-build', 'exclude-from-external-load-balancers', 'exclude-disruption', 'not-ready'],
    ...['unreachable', 'unschedulable', 'memory-pressure', 'disk-pressure', 'network-unavailable', 'pid-pressure'],
    ...['out-of-service'],
  ]),
  ...keys('node.cloudprovider.kubernetes.io', ['uninitialized', 'shutdown']),
  ...keys('alpha.service-controller.kubernetes.io', ['exclude-balancer']),
  ...keys('k8s.io', ['initial-events-end']),
  // kube-proxy's health check looks at the first of these taints of the cluster autoscaler.
  ...['ToBeDeletedByClusterAutoscaler', 'DeletionCandidateOfClusterAutoscaler'],
  ...['foregroundDeletion', 'orphan'],
])

/** A prefix alone says nothing either, whatever name somebody put behind it. */
export const KNOWN_PREFIXES: ReadonlySet<string> = new Set([
  ...[...KNOWN_KEYS].filter((key) => key.includes('/')).map((key) => key.slice(0, key.indexOf('/'))),
  'node-restriction.kubernetes.io',
])

function keys(prefix: string, names: readonly string[]): readonly string[] {
  return names.map((name) => `${prefix}/${name}`)
}
