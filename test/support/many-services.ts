export interface ManyServices {
  readonly services: number
  readonly endpoints: number
  /** Where the endpoints are, in turn; default: nowhere. */
  readonly nodes?: readonly string[]
}

interface Item {
  readonly kind: string
  readonly spec?: object
  readonly [field: string]: unknown
}

interface ManyObjects {
  readonly apiVersion: 'v1'
  readonly kind: 'List'
  readonly items: readonly Item[]
}

/** A List of Services of one port, shop/web-0 and on, and their slices. */
export function manyServices({ services, endpoints, nodes = [] }: ManyServices): ManyObjects {
  const items = Array.from({ length: services }, (_, index): readonly Item[] => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'shop', name: `web-${index}` },
      spec: {
        clusterIP: address(96, index),
        clusterIPs: [address(96, index)],
        ipFamilies: ['IPv4'],
        ports: [{ port: 80, protocol: 'TCP' }],
      },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: 'shop', name: `web-${index}-1`, labels: { 'kubernetes.io/service-name': `web-${index}` } },
      addressType: 'IPv4',
      endpoints: Array.from({ length: endpoints }, (__, number) => ({
        addresses: [address(128, index * endpoints + number)],
        conditions: { ready: true },
        ...(nodes.length > 0 && { nodeName: nodes[number % nodes.length] }),
      })),
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    },
  ]).flat()
  return { apiVersion: 'v1', kind: 'List', items }
}

const address = (second: number, index: number): string =>
  `10.${second + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
