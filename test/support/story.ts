import { writeFileSync } from 'node:fs'

export interface StoryObject {
  readonly kind: 'Service' | 'EndpointSlice' | 'Node'
  readonly name: string
  readonly body: object
  readonly labels?: Readonly<Record<string, string>>
  /** The manager that wrote it last. */
  readonly by: string
}

export type StoryStep = { readonly object: StoryObject; readonly deleted?: true }

/** A recording of watch events, half a second apart, as a watch of a namespace called `namespace` would have shown it. */
export function writeStory(
  file: string,
  { namespace, steps }: { readonly namespace: string; readonly steps: readonly StoryStep[] },
): void {
  const seen = new Map<string, readonly Entry[]>()
  const start = Date.UTC(2027, 4, 3, 9, 30)
  const lines = steps.map(({ object, deleted }, index) => {
    const at = start + index * 500
    const time = new Date(at).toISOString().replace(/\.\d+/, '')
    const key = `${object.kind} ${object.name}`
    const before = seen.get(key)
    const type = deleted === true ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED'
    const entry: Entry = {
      manager: object.by,
      operation: 'Update',
      apiVersion: 'v1',
      time,
      fieldsType: 'FieldsV1',
      fieldsV1: { i: index },
    }
    const managedFields =
      deleted === true ? (before ?? []) : [...(before ?? []).filter(({ manager }) => manager !== object.by), entry]
    if (deleted === true) seen.delete(key)
    else seen.set(key, managedFields)
    const metadata = {
      name: object.name,
      ...(object.kind === 'Node' ? {} : { namespace }),
      uid: `uid-${key}`,
      resourceVersion: String(1000 + index),
      labels: object.labels ?? {},
      managedFields,
    }
    const apiVersion = object.kind === 'EndpointSlice' ? 'discovery.k8s.io/v1' : 'v1'
    return JSON.stringify({
      observedAt: new Date(at).toISOString(),
      type,
      object: { apiVersion, kind: object.kind, metadata, ...object.body },
    })
  })
  writeFileSync(file, `${lines.join('\n')}\n`)
}

interface Entry {
  readonly manager: string
  readonly [field: string]: unknown
}

export interface StoryService {
  readonly name: string
  readonly address: string
  readonly by?: string
  readonly selector?: Readonly<Record<string, string>>
  readonly targetPort?: number | string
}

export const storyService = ({
  name,
  address,
  by = 'helm',
  selector = { app: name },
  targetPort = 'api',
}: StoryService): StoryObject => ({
  kind: 'Service',
  name,
  by,
  body: {
    spec: {
      type: 'ClusterIP',
      clusterIP: address,
      clusterIPs: [address],
      ipFamilies: ['IPv4'],
      selector,
      ports: [{ name: 'api', port: 443, protocol: 'TCP', targetPort }],
    },
  },
})

export interface StorySlice {
  readonly of: string
  /** Addresses and whether they are ready. */
  readonly pods: Readonly<Record<string, boolean>>
  readonly withPorts?: boolean
}

export const storySlice = ({ of, pods, withPorts = true }: StorySlice): StoryObject => ({
  kind: 'EndpointSlice',
  name: `${of}-77`,
  by: 'kube-controller-manager',
  labels: {
    'kubernetes.io/service-name': of,
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
  },
  body: {
    addressType: 'IPv4',
    ports: withPorts ? [{ name: 'api', port: 9443, protocol: 'TCP' }] : [],
    endpoints: Object.entries(pods).map(([address, ready]) => ({
      addresses: [address],
      conditions: { ready, serving: ready },
    })),
  },
})

export const storyNode: StoryObject = {
  kind: 'Node',
  name: 'worker-7',
  by: 'kubelet',
  body: {
    spec: { podCIDRs: ['172.20.7.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.7' }] },
  },
}
