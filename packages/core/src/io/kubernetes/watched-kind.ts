import type { ObjectKind } from '../../model/kubernetes-object.js'

/** A kind as it is asked for: where it is served, and which of its objects a service proxy reads. */
export interface WatchedKind {
  readonly kind: ObjectKind
  readonly path: string
  readonly selectors: Readonly<Record<string, string>>
}

/**
 * The kinds that kube-proxy 1.36 watches, with its selectors (cmd/kube-proxy/app/server.go): slices are not selected by
 * proxy name, so that those of another proxy's Services come too and find no Service. Without a node's name all Nodes.
 */
export function watchedKinds(nodeName?: string): readonly WatchedKind[] {
  return [
    {
      kind: 'Service',
      path: '/api/v1/services',
      selectors: {
        labelSelector: '!service.kubernetes.io/service-proxy-name',
        fieldSelector: 'spec.clusterIP!=None',
      },
    },
    {
      kind: 'EndpointSlice',
      path: '/apis/discovery.k8s.io/v1/endpointslices',
      selectors: { labelSelector: '!service.kubernetes.io/headless' },
    },
    {
      kind: 'Node',
      path: '/api/v1/nodes',
      selectors: nodeName === undefined ? {} : { fieldSelector: `metadata.name=${nodeName}` },
    },
  ]
}
