import { readFileSync } from 'node:fs'
import { oddsToNumber, type Trace, type TraceQuestion } from '@pointsman/core'
import { describe, expect, it } from 'vitest'
import { readTextListing } from '../listing/read-text.js'
import { traceRuleset } from './trace-ruleset.js'

/*
 * The listings are modelled after the documentation and source of firewalld 1.3, Docker's nftables backend and Calico's nftables data plane,
 * in the chains that a packet meets; none was recorded from a node. nft 1.0.6 loads them.
 */

const listing = (name: string): string =>
  readFileSync(new URL(`../test-support/listings/${name}.nft`, import.meta.url), 'utf8')

/** kube-proxy's part: a cluster IP that leads to one endpoint. */
const PROXY = `table ip kube-proxy {
	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.96.0.10 . tcp . 80 : goto service-ABCDEFGH-shop/web/tcp/http }
	}

	chain nat-prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr . meta l4proto . th dport vmap @service-ips
	}

	chain service-ABCDEFGH-shop/web/tcp/http {
		meta l4proto tcp dnat to 10.244.1.5:8080
	}
}
`

const CLUSTER_IP = { source: '10.244.1.9', destination: '10.96.0.10', destinationPort: 80 }

function traceOf(name: string, packet: Partial<TraceQuestion['packet']>): Trace {
  return traceRuleset(readTextListing(PROXY + listing(name)), {
    packet: {
      protocol: 'tcp',
      source: '198.51.100.7',
      destination: '192.168.55.10',
      destinationPort: 22,
      from: 'outside',
      ...packet,
    },
    surroundings: { nodeAddresses: ['192.168.55.10', '172.17.0.1'] },
  })
}

/** What becomes of it, where, and how the receiver sees it. */
const told = ({ fates, ways, dependsOn = [] }: Trace): string => {
  if (dependsOn.length > 0) return `depends on whether ${dependsOn.map(({ text }) => text).join(', or ')}`
  const ends = ways.map(({ end }) =>
    'by' in end && end.by !== undefined
      ? `${end.fate} by ${end.by.chain} ${end.by.number ?? 'policy'}`
      : 'address' in end
        ? `${end.fate} ${end.address}:${end.port}${end.source.rewritten === 'no' ? '' : `, ${end.source.rewritten}`}`
        : end.fate,
  )
  expect(fates.map(({ odds }) => oddsToNumber(odds))).toEqual([1])
  return [...new Set(ends)].join('; ')
}

describe('a packet through the rules of firewalld', () => {
  it.each([
    [
      'to a Service is let through, since it is translated',
      { ...CLUSTER_IP, inInterface: 'pod0' },
      'endpoints 10.244.1.5:8080',
    ],
    [
      'to a pod itself is rejected by its zone',
      { destination: '10.244.1.5', destinationPort: 8080, inInterface: 'out0' },
      'rejected by filter_FWD_public 2',
    ],
    ['to a port that the zone allows', { inInterface: 'out0' }, 'no-service 192.168.55.10:22'],
    [
      'to a port that it does not allow',
      { destinationPort: 9100, inInterface: 'out0' },
      'rejected by filter_IN_public 3',
    ],
    ['to a forwarded port', { destinationPort: 8443, inInterface: 'out0' }, 'endpoints 10.244.1.7:443'],
    [
      'of a connection that is known',
      { destination: '10.244.1.5', state: 'ESTABLISHED', inInterface: 'out0' } as const,
      'no-service 10.244.1.5:22',
    ],
    [
      'of the node itself',
      { from: 'node', source: '192.168.55.10', destination: '203.0.113.9' } as const,
      'no-service 203.0.113.9:22',
    ],
  ] as const)('%s', (_, packet, end) => {
    expect(told(traceOf('firewalld', packet))).toBe(end)
  })

  it('of IPv6 depends on the route back to its sender, which no listing has', () => {
    const packet = { source: '2001:db8::7', destination: 'fd00:55::10', inInterface: 'out0' }
    expect(traceOf('firewalld', packet).dependsOn?.map(({ code }) => code)).toEqual(['MATCH'])
  })
})

describe('a packet through the rules of Docker', () => {
  it.each([
    [
      'to a published port',
      { destinationPort: 8000, inInterface: 'out0', outInterface: 'docker0' },
      'endpoints 172.17.0.2:80',
    ],
    [
      'to a container itself',
      { destination: '172.17.0.2', destinationPort: 80, inInterface: 'out0', outInterface: 'docker0' },
      'dropped by raw-PREROUTING 1',
    ],
    [
      'to a port that is not published, from a pod',
      { destination: '172.17.0.3', destinationPort: 80, inInterface: 'pod0', outInterface: 'docker0' },
      'dropped by filter-forward-in__docker0 4',
    ],
    [
      'of a container to the world',
      { source: '172.17.0.2', destination: '203.0.113.9', inInterface: 'docker0', outInterface: 'out0' },
      'no-service 203.0.113.9:22, MASQUERADE',
    ],
    ['to a Service', { ...CLUSTER_IP, inInterface: 'pod0', outInterface: 'pod1' }, 'endpoints 10.244.1.5:8080'],
  ] as const)('%s', (_, packet, end) => {
    expect(told(traceOf('docker', packet))).toBe(end)
  })

  it('depends on the interface where that is not given', () => {
    const { dependsOn } = traceOf('docker', { destination: '172.17.0.3', destinationPort: 80 })
    expect(dependsOn?.map(({ code }) => code)).toEqual(['OUT_INTERFACE', 'IN_INTERFACE'])
  })
})

describe('a packet through the rules of Calico', () => {
  const toPod = { inInterface: 'tunl0', outInterface: 'cali0a1b2c3d4e5' }
  it.each([
    ['to a Service, from a client that the policy allows', { ...CLUSTER_IP, ...toPod }, 'endpoints 10.244.1.5:8080'],
    [
      'to a Service, from another',
      { ...CLUSTER_IP, ...toPod, source: '10.244.2.2' },
      'dropped by filter-cali-tw-cali0a1b2c3d4e5 6',
    ],
    [
      'to a pod that the node does not know',
      { ...CLUSTER_IP, ...toPod, outInterface: 'cali999' },
      'dropped by filter-cali-to-wl-dispatch 2',
    ],
    [
      'of a pod to the world',
      { source: '10.244.1.5', destination: '203.0.113.9', inInterface: 'cali0a1b2c3d4e5', outInterface: 'out0' },
      'no-service 203.0.113.9:22, MASQUERADE',
    ],
    [
      'of a pod that encapsulates',
      {
        protocol: 'udp',
        source: '10.244.1.5',
        destination: '203.0.113.9',
        destinationPort: 4789,
        inInterface: 'cali0a1b2c3d4e5',
        outInterface: 'out0',
      },
      'dropped by filter-cali-fw-cali0a1b2c3d4e5 4',
    ],
  ] as const)('%s', (_, packet, end) => {
    expect(told(traceOf('calico', packet))).toBe(end)
  })
})
