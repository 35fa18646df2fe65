import { readdirSync, readFileSync } from 'node:fs'
import { parseSave } from 'node-iptables'
import { describe, expect, test } from 'vitest'
import { endsOf } from '../test-support/tell-trace.js'
import { tracePacket } from './trace-packet.js'

const GOLDENS = new URL('../../../../fixtures/golden/kube-proxy-1.20/', import.meta.url)

const POD = '10.244.1.200'
const NODE = '192.168.55.10'
const OUTSIDE = '198.18.0.1'
const masqueraded = (...ends: readonly string[]): readonly string[] =>
  ends.map((end) => end.replace(/^\S+/, '$& MASQUERADE'))

/** What the rules in each scenario's iptables-save.txt do, read by hand: what a real kube-proxy 1.20 wrote. */
const READ_BY_HAND: { readonly [scenario: string]: { readonly [packet: string]: readonly string[] } } = {
  'node-port': {
    [`${OUTSIDE} -> ${NODE}:31131`]: masqueraded('10.254.20.8:8080'),
    [`${NODE} -> 127.0.0.1:32719`]: masqueraded('10.244.1.11:80 1/3', '10.244.2.12:80 1/3', '10.244.3.13:80 1/3'),
    [`${POD} -> 10.96.125.27:8080`]: ['10.254.20.8:8080'],
    [`${OUTSIDE} -> 10.96.125.27:8080`]: masqueraded('10.254.20.8:8080'),
    [`${POD} -> 10.96.125.27:8081`]: ['untouched 10.96.125.27:8081'],
  },
  'external-traffic-policy-local': {
    [`${OUTSIDE} -> ${NODE}:30900`]: ['10.244.1.41:8080 1/2', '10.244.1.43:8080 1/2'],
    // The mark that it gets is for a rule of kubelet's, which is not here.
    [`${OUTSIDE} -> ${NODE}:30901`]: [`untouched ${NODE}:30901`],
    [`${POD} -> ${NODE}:30901`]: ['10.244.2.44:8080'],
  },
  'load-balancer-source-ranges': {
    '203.0.113.7 -> 198.51.100.20:80': masqueraded('10.244.1.31:80 1/2', '10.244.2.32:80 1/2'),
    '203.0.113.200 -> 198.51.100.20:80': ['untouched 198.51.100.20:80 MASQUERADE'],
  },
  'session-affinity': {
    [`${POD} -> 10.96.11.11:80`]: ['10.244.1.51:8080 1/3', '10.244.2.52:8080 1/3', '10.244.3.53:8080 1/3'],
    '10.244.1.51 -> 10.96.11.11:80': [
      ...masqueraded('10.244.1.51:8080 1/3'),
      '10.244.2.52:8080 1/3',
      '10.244.3.53:8080 1/3',
    ],
  },
  'masquerade-all': { [`${POD} -> 10.96.18.18:80`]: masqueraded('10.244.1.121:8080') },
}

describe('a trace through what a real kube-proxy 1.20 wrote', () => {
  const rows = Object.entries(READ_BY_HAND).flatMap(([scenario, packets]) =>
    Object.entries(packets).map(([packet, ends]) => [scenario, packet, ends] as const),
  )

  test.each(rows)('%s: tcp %s', (scenario, packet, ends) => {
    expect(endsOf(traceOf(scenario, packet))).toEqual(ends)
  })

  test.each(readdirSync(GOLDENS))('%s holds nothing that a trace does not know', (scenario) => {
    const { assumptions } = traceOf(scenario, `${POD} -> 10.96.0.10:53`)
    expect(assumptions).toEqual([])
  })
})

function traceOf(scenario: string, packet: string) {
  const [, source = '', destination = '', port = ''] = /^(\S+) -> (\S+):(\d+)$/.exec(packet) ?? []
  const isOwn = source === NODE
  return tracePacket({
    tables: parseSave(readFileSync(new URL(`${scenario}/iptables-save.txt`, GOLDENS), 'utf8')),
    surroundings: { nodeAddresses: [NODE] },
    packet: {
      protocol: 'tcp',
      source: isOwn && destination.startsWith('127.') ? destination : source,
      destination,
      destinationPort: Number(port),
      from: isOwn ? 'node' : 'outside',
    },
  })
}
