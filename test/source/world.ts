import { node, service, slice } from '@pointsman/core/testing'
import type { KubernetesObject } from '@pointsman/core'
import type { TestApiServer } from '@pointsman/core/testing'

const NAMESPACES = ['shop', 'depot', 'zürich-süd', 'kube-system']

/** Services in several namespaces, a slice each, two nodes; with text that takes more than a byte a character. */
export function worldOf(services: number): readonly KubernetesObject[] {
  const numbers = Array.from({ length: services }, (_, index) => index)
  return [
    ...numbers.flatMap((index) => [webService(index), webSlice(index)]),
    node({ name: 'node-a' }),
    node({ name: 'node-b', addresses: ['192.168.55.11'] }),
    service({ name: 'headless', spec: { clusterIP: 'None' } }),
    service({ name: 'foreign', labels: { 'service.kubernetes.io/service-proxy-name': 'other' } }),
    { ...slice({ name: 'headless-1', service: 'headless', endpoints: ['10.1.0.1'] }), ...headlessMetadata },
  ]
}

const headlessMetadata = {
  metadata: {
    name: 'headless-1',
    namespace: 'shop',
    labels: { 'kubernetes.io/service-name': 'headless', 'service.kubernetes.io/headless': '' },
  },
}

const namespaceOf = (index: number): string => NAMESPACES[index % NAMESPACES.length] ?? ''

export const webService = (index: number, labels: Readonly<Record<string, string>> = {}): KubernetesObject => ({
  ...service({
    name: `web-${index}`,
    namespace: namespaceOf(index),
    labels,
    spec: { clusterIP: `10.96.${index >> 8}.${index & 255}`, clusterIPs: [`10.96.${index >> 8}.${index & 255}`] },
  }),
  metadata: {
    name: `web-${index}`,
    namespace: namespaceOf(index),
    labels: { app: 'web', ...labels },
    annotations: { note: 'Größe: 5 €, 駅 🚉' },
  },
})

export function webSlice(index: number, endpoints = 2): KubernetesObject {
  const addresses = Array.from({ length: endpoints }, (_, number) => `10.244.${index >> 8}.${(index + number) & 255}`)
  const name = `web-${index}-1`
  const labels = { 'kubernetes.io/service-name': `web-${index}` }
  const made = slice({ name, namespace: namespaceOf(index), service: `web-${index}`, endpoints: addresses })
  return { ...made, metadata: { name, namespace: namespaceOf(index), labels } }
}

/** Lists that the server was asked for, pages after the first not counted; not the question for one object, whether it has come so far. */
export const listsAskedOf = ({ requests }: Pick<TestApiServer, 'requests'>): number =>
  requests.filter(({ kind, query }) => (kind === 'list' && query['limit'] !== '1') || kind === 'streaming-list').length
