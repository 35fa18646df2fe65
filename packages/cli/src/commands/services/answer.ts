import {
  type BuiltState,
  displayName,
  type Endpoint,
  type EndpointVerdict,
  explainSelection,
  isJsonObject,
  isLocalEndpoint,
  type KubernetesObject,
  type NodeInfo,
  serviceOf,
  servesWhileTerminating,
  type ServicePort,
} from '@pointsman/core'

/** One endpoint of a service port, and whether the node that was asked about sends packets to it. */
export interface EndpointRow {
  readonly endpoint: Endpoint
  /** For traffic that may leave the node, and for traffic of policy Local; absent where the port has none of the kind. */
  readonly cluster?: EndpointVerdict
  readonly local?: EndpointVerdict
  /** Whether it is on the node; absent where no node is known. */
  readonly isOnNode?: boolean
}

/** One service port as a person is shown it. */
export interface ServiceRow {
  readonly port: ServicePort
  /** `spec.type`, ClusterIP where it says nothing. */
  readonly serviceType: string
  readonly endpoints: readonly EndpointRow[]
  readonly ready: number
  /** Endpoints that terminate and are used because none is ready. */
  readonly fallback: number
  /** Endpoints that the node sends some traffic to. */
  readonly used: number
  /** Those of them on the node itself; absent where no node is known. */
  readonly onNode?: number
}

export interface ServicesView {
  readonly rows: readonly ServiceRow[]
  readonly skipped: BuiltState['skipped']
  readonly diagnostics: BuiltState['diagnostics']
}

interface ServicesQuestion {
  readonly objects: readonly KubernetesObject[]
  /** What `buildState` makes of them, for whichever node. */
  readonly built: BuiltState
  readonly node: Pick<NodeInfo, 'name' | 'zone'> | undefined
}

/** Every service port that objects make, sorted by name, port, protocol and family, with its endpoints. */
export function serviceRows({ objects, built, node }: ServicesQuestion): ServicesView {
  const { state, skipped, diagnostics } = built
  const types = serviceTypes(objects)
  const rows = [...state.services.values()].map((port) =>
    serviceRow({
      port,
      serviceType: types.get(port.service) ?? 'ClusterIP',
      endpoints: state.endpoints.get(port.id) ?? [],
      node,
    }),
  )
  return { rows: rows.sort((one, other) => compareText(sortKey(one.port), sortKey(other.port))), skipped, diagnostics }
}

interface RowInput {
  readonly port: ServicePort
  readonly serviceType: string
  readonly endpoints: readonly Endpoint[]
  readonly node: ServicesQuestion['node']
}

function serviceRow({ port, serviceType, endpoints, node }: RowInput): ServiceRow {
  const { cluster, local } = explainSelection({ port, endpoints, node })
  const isUsed = (index: number): boolean => cluster[index]?.used === true || local[index]?.used === true
  return {
    port,
    serviceType,
    endpoints: endpoints.map((endpoint, index) => ({
      endpoint,
      ...verdict('cluster', cluster[index]),
      ...verdict('local', local[index]),
      ...(node !== undefined && { isOnNode: isLocalEndpoint(endpoint, node) }),
    })),
    ready: endpoints.filter(({ ready }) => ready).length,
    fallback: endpoints.filter(
      (endpoint, index) => !endpoint.ready && servesWhileTerminating(endpoint) && isUsed(index),
    ).length,
    used: endpoints.filter((_, index) => isUsed(index)).length,
    ...(node !== undefined && {
      onNode: endpoints.filter((endpoint, index) => isUsed(index) && isLocalEndpoint(endpoint, node)).length,
    }),
  }
}

function verdict<Name extends 'cluster' | 'local'>(
  name: Name,
  found: EndpointVerdict | undefined,
): { readonly [key in Name]?: EndpointVerdict } {
  if (found === undefined || found.reason === 'POLICY_NOT_USED') return {}
  return { [name]: found } as { readonly [key in Name]: EndpointVerdict }
}

function serviceTypes(objects: readonly KubernetesObject[]): ReadonlyMap<string, string> {
  const types = new Map<string, string>()
  for (const { kind, metadata, spec } of objects.map((object) => ({ ...object, spec: object['spec'] }))) {
    if (kind !== 'Service' || !isJsonObject(spec) || typeof spec['type'] !== 'string') continue
    types.set(`${metadata.namespace ?? ''}/${metadata.name}`, spec['type'])
  }
  return types
}

// Letters order what they order for a person: namespace first, an unnamed port before named ones.
const sortKey = (port: ServicePort): string =>
  [port.namespace, port.name, port.portName, port.protocol, port.family].join('\u0000')
const compareText = (one: string, other: string): number => (one < other ? -1 : Number(one > other))

/** `shop/checkout:http`. */
export const portTitle = (port: ServicePort): string => displayName(port)

/** Of a Service, NAME or NAMESPACE/NAME, that is not there: that EndpointSlices name it. Undefined: none does. */
export function leftSlicesHint(service: string, objects: readonly KubernetesObject[]): string | undefined {
  const names = objects
    .filter((object) => {
      const owner = object.kind === 'EndpointSlice' ? serviceOf(object) : undefined
      return owner !== undefined && (owner === service || owner.slice(owner.indexOf('/') + 1) === service)
    })
    .map(({ metadata }) => metadata.name)
    .toSorted()
  const [first] = names
  if (first === undefined) return undefined
  const [some, them] =
    names.length === 1
      ? [`EndpointSlice ${first} belongs`, 'it']
      : [`${names.length} EndpointSlices (${first}, ...) belong`, 'them']
  return `: ${some} to it, and without the Service there are no rules for ${them}`
}
