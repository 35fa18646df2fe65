const NAMES_BY_PREFIX: Readonly<Record<string, string>> = {
  'kubernetes.io':
    'service-name cluster-service name hostname os arch description change-cause ' +
    // Application protocols.
    'h2c ws wss',
  'app.kubernetes.io': 'component created-by instance managed-by name part-of version',
  'applyset.kubernetes.io': 'id part-of',
  'addonmanager.kubernetes.io': 'mode',
  'config.kubernetes.io': 'local-config',
  'kubectl.kubernetes.io': 'last-applied-configuration restartedAt default-container',
  'service.kubernetes.io': 'headless service-proxy-name topology-mode topology-aware-hints load-balancer-cleanup',
  'service.alpha.kubernetes.io': 'tolerate-unready-endpoints',
  'service.beta.kubernetes.io':
    'load-balancer-source-ranges external-traffic healthcheck-nodeport azure-load-balancer-internal ' +
    'aws-load-balancer-type aws-load-balancer-internal aws-load-balancer-scheme aws-load-balancer-name ' +
    'aws-load-balancer-backend-protocol aws-load-balancer-proxy-protocol aws-load-balancer-nlb-target-type ' +
    'aws-load-balancer-cross-zone-load-balancing-enabled aws-load-balancer-connection-idle-timeout ' +
    'aws-load-balancer-ssl-cert aws-load-balancer-ssl-ports aws-load-balancer-target-group-attributes',
  'endpoints.kubernetes.io': 'last-change-trigger-time over-capacity managed-by',
  'endpointslice.kubernetes.io': 'managed-by skip-mirror',
  'control-plane.alpha.kubernetes.io': 'leader',
  'topology.kubernetes.io': 'zone region',
  'failure-domain.beta.kubernetes.io': 'zone region',
  'beta.kubernetes.io': 'os arch instance-type',
  'node-role.kubernetes.io': 'control-plane master',
  'node.kubernetes.io':
    'instance-type windows-build exclude-from-external-load-balancers exclude-disruption not-ready unreachable ' +
    'unschedulable memory-pressure disk-pressure network-unavailable pid-pressure out-of-service',
  'node.cloudprovider.kubernetes.io': 'uninitialized shutdown',
  'alpha.service-controller.kubernetes.io': 'exclude-balancer',
  'k8s.io': 'initial-events-end',
}

/**
 * Keys that the Kubernetes documentation or its components give a meaning and that hold no name of anybody's: labels,
 * annotations, taints, finalizers and application protocols on Services, EndpointSlices and Nodes.
 * Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
export const KNOWN_KEYS: ReadonlySet<string> = new Set([
  ...Object.entries(NAMES_BY_PREFIX).flatMap(([prefix, names]) => names.split(' ').map((name) => `${prefix}/${name}`)),
  // kube-proxy's health check looks at the first of these taints of the cluster autoscaler.
  'ToBeDeletedByClusterAutoscaler',
  'DeletionCandidateOfClusterAutoscaler',
  'foregroundDeletion',
  'orphan',
])

/** A prefix alone says nothing either, whatever name somebody put behind it. */
export const KNOWN_PREFIXES: ReadonlySet<string> = new Set([
  ...Object.keys(NAMES_BY_PREFIX),
  'node-restriction.kubernetes.io',
])
