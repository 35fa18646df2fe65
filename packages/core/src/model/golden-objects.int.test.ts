import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { explainSelection, selectEndpoints } from './endpoint-selection.js'
import { endpointKey } from './endpoint.js'
import { endpointsOfSlice, gatherEndpoints } from './slice-endpoints.js'
import type { IpFamily } from './address.js'
import { type KubernetesObject, OBJECT_KINDS } from './kubernetes-object.js'
import { nodeInfoOf } from './node.js'
import { servicePortsOf } from './service-ports.js'

const GOLDEN = fileURLToPath(new URL('../../../../fixtures/golden/', import.meta.url))
const SCENARIOS = ['kube-proxy-1.20', 'kube-proxy-1.36'].flatMap((version) =>
  readdirSync(`${GOLDEN}${version}`).map((name) => `${version}/${name}`),
)

function objectsOf(scenario: string): readonly KubernetesObject[] {
  const list = JSON.parse(readFileSync(`${GOLDEN}${scenario}/objects.json`, 'utf8')) as {
    readonly items: readonly KubernetesObject[]
  }
  // kube-proxy 1.20 was fed Endpoints, a kind that is passed over here.
  return list.items.filter(({ kind }) => OBJECT_KINDS.includes(kind))
}

/** All service ports of a scenario and what its node-a may use for each. */
function read(scenario: string, families: readonly IpFamily[] = ['IPv4']) {
  const objects = objectsOf(scenario)
  const ofKind = (kind: KubernetesObject['kind']): readonly KubernetesObject[] =>
    objects.filter((object) => object.kind === kind)
  const slices = ofKind('EndpointSlice').map((object) => endpointsOfSlice(object))
  const services = ofKind('Service').map((object) => servicePortsOf(object, families))
  const [node] = ofKind('Node').map((object) => nodeInfoOf(object).node)
  const endpoints = new Map(
    [...new Set(slices.flatMap(({ service }) => service ?? []))].flatMap((owner) => [
      ...gatherEndpoints(slices.flatMap((slice) => (slice.service === owner ? [slice] : []))),
    ]),
  )
  const ports = services.flatMap((result) => result.ports)
  return { node, endpoints, ports, skipped: services.flatMap((result) => result.skipped), inputOf }

  function inputOf(id: string) {
    const port = ports.find((candidate) => candidate.id === id)
    if (port === undefined) throw new Error(`no port ${id}`)
    return { port, endpoints: endpoints.get(port.id) ?? [], node }
  }
}

describe('objects that a real API server served', () => {
  it.each(SCENARIOS)('are read without a diagnostic: %s', (scenario) => {
    const objects = objectsOf(scenario)
    expect(objects.length).toBeGreaterThan(0)
    const diagnostics = objects.flatMap((object) => {
      if (object.kind === 'Service') return servicePortsOf(object).diagnostics
      return object.kind === 'Node' ? nodeInfoOf(object).diagnostics : endpointsOfSlice(object).diagnostics
    })
    expect(diagnostics).toEqual([])
  })

  it('skip the Services that get no rules, and keep the endpoints of one of another proxy out of the way', () => {
    const { ports, skipped, endpoints } = read('kube-proxy-1.36/skipped-services')
    expect(skipped.map(({ service, reason }) => `${service} ${reason}`)).toEqual([
      'default/elsewhere EXTERNAL_NAME',
      'default/foreign OTHER_PROXY',
      'default/headless HEADLESS',
    ])
    expect(ports.map(({ id }) => id)).toEqual(['default/kubernetes:https/TCP/IPv4', 'default/plain:http/TCP/IPv4'])
    expect([...endpoints.keys()]).toEqual(['default/foreign:http/TCP/IPv4', 'default/plain:http/TCP/IPv4'])
  })

  it('gather several slices, one endpoint in two of them', () => {
    const { endpoints, inputOf } = read('kube-proxy-1.36/several-slices-duplicates')
    expect([...endpoints].map(([id, list]) => `${id} -> ${list.map(endpointKey).join(' ')}`)).toEqual([
      'default/dup:http/TCP/IPv4 -> 10.244.1.181:8080 10.244.1.184:9090 10.244.2.182:8080 10.244.2.183:9090',
      'default/dup:alt/TCP/IPv4 -> 10.244.1.181:8081 10.244.2.182:8081',
    ])
    // The three that kube-proxy balances over in the golden rules: .184 is not ready.
    expect(selectEndpoints(inputOf('default/dup:http/TCP/IPv4')).cluster.map(endpointKey)).toEqual([
      '10.244.1.181:8080',
      '10.244.2.182:8080',
      '10.244.2.183:9090',
    ])
  })

  it('follow the hints for zones', () => {
    const input = read('kube-proxy-1.36/topology-hints').inputOf('default/zonal:http/TCP/IPv4')
    expect(input.node?.zone).toBe('zone-a')
    expect(selectEndpoints(input).distribution).toBe('PreferSameZone')
    expect(explainSelection(input).cluster.map(({ endpoint, reason }) => `${endpointKey(endpoint)} ${reason}`)).toEqual(
      ['10.244.1.71:8080 READY', '10.244.2.72:8080 HINT_OTHER_ZONE', '10.244.2.73:8080 READY'],
    )
  })

  it('serve from a terminating endpoint where the node has no ready one', () => {
    const input = read('kube-proxy-1.36/terminating-endpoints').inputOf('default/term:http/TCP/IPv4')
    const { cluster, local, clusterFallback, localFallback } = selectEndpoints(input)
    expect(cluster.map(endpointKey)).toEqual(['10.244.2.82:8080'])
    expect(local.map(endpointKey)).toEqual(['10.244.1.81:8080'])
    expect([clusterFallback, localFallback]).toEqual([false, true])
  })

  it.each(SCENARIOS.filter((scenario) => scenario.startsWith('kube-proxy-1.36')))(
    'give the endpoints that the real kube-proxy wrote rules for: %s',
    (scenario) => {
      for (const [family, file] of [
        ['IPv4', 'iptables-save.txt'],
        ['IPv6', 'ip6tables-save.txt'],
      ] as const) {
        const rules = readFileSync(`${GOLDEN}${scenario}/${file}`, 'utf8')
        const written = [...rules.matchAll(/^-A KUBE-SEP-\w+ -p (\w+) .*-j DNAT --to-destination (\S+)/gm)]
        const { ports, inputOf } = read(scenario, [family])
        const expected = ports.flatMap((port) => {
          const { cluster, local } = selectEndpoints(inputOf(port.id))
          return [...new Set([...cluster, ...local].map(endpointKey))].map((key) => `${port.protocol} ${key}`)
        })
        expect(expected.toSorted()).toEqual(
          written.map(([, protocol = '', to]) => `${protocol.toUpperCase()} ${to}`).toSorted(),
        )
      }
    },
  )
})
