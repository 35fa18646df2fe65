import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { readProxyConfig } from '../config/read-proxy-config.js'
import { buildState } from '../state/state-fold.js'
import { route } from './route.js'
import { fateIn, packetOf } from './test-support/scenario.js'

const GOLDENS = fileURLToPath(new URL('../../../../fixtures/golden/kube-proxy-1.36/', import.meta.url))
const OF_NFTABLES = fileURLToPath(new URL('../../../../fixtures/golden/kube-proxy-1.36-nftables/', import.meta.url))
const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'))

function golden(scenario: string, folder = GOLDENS) {
  const { config } = readProxyConfig(readJson(`${folder}${scenario}/config.json`), { modes: ['iptables', 'nftables'] })
  const { items } = readJson(`${folder}${scenario}/objects.json`) as { readonly items: readonly KubernetesObject[] }
  return { config, state: buildState({ objects: items, nodeName: config.nodeName }).state }
}

const POD = '10.244.1.200'
const masqueraded = (...endpoints: readonly string[]): string =>
  endpoints.map((each) => `${each} masqueraded`).join(', ')

/**
 * What the rules in each scenario's iptables-save.txt and ip6tables-save.txt do to packets, read by hand: what the real
 * kube-proxy wrote for these objects.
 */
const READ_BY_HAND: { readonly [scenario: string]: { readonly [packet: string]: string } } = {
  'bridge-interface-local-mode': {
    [`tcp ${POD} -> 10.96.20.20:80 via cbr0`]: '10.244.1.141:8080',
    [`tcp ${POD} -> 10.96.20.20:80 via eth0`]: '10.244.1.141:8080 masqueraded',
    'tcp node -> 10.96.20.20:80': '10.244.1.141:8080 masqueraded',
    'tcp node -> 192.168.55.10:30200': '10.244.1.141:8080 masqueraded',
    'tcp outside -> 192.168.55.10:30200': '10.244.1.141:8080',
  },
  'cluster-ip': {
    [`tcp ${POD} -> 10.110.243.155:7000`]: '192.168.137.147:7000 1/2, 192.168.98.213:7000 1/2',
    // The endpoints lie outside the cluster CIDR: one asking is no pod, and each of its ways is masqueraded.
    'tcp 192.168.98.213 -> 10.110.243.155:7000':
      '192.168.137.147:7000 1/2 masqueraded, 192.168.98.213:7000 1/2 masqueraded',
    'tcp node -> 10.110.243.155:7000': '192.168.137.147:7000 1/2 masqueraded, 192.168.98.213:7000 1/2 masqueraded',
  },
  'dns-udp-tcp': {
    [`udp ${POD} -> 10.96.0.10:53`]: '10.244.1.2:53 1/2, 10.244.2.3:53 1/2',
    [`tcp ${POD} -> 10.96.0.10:53`]: '10.244.1.2:53 1/2, 10.244.2.3:53 1/2',
    [`tcp ${POD} -> 10.96.0.10:9153`]: '10.244.1.2:9153 1/2, 10.244.2.3:9153 1/2',
    [`udp ${POD} -> 10.96.0.10:9153`]: 'no-service: kube-system/kube-dns at 10.96.0.10 has no port 9153 of UDP',
    'udp 10.244.1.2 -> 10.96.0.10:53': '10.244.1.2:53 1/2 masqueraded, 10.244.2.3:53 1/2',
  },
  'dual-stack': {
    [`tcp ${POD} -> 10.96.16.16:80`]: '10.244.1.101:8080 1/2, 10.244.2.102:8080 1/2',
    'tcp fd00:10:244:1::200 -> [fd00:10:96::1616]:80': '[fd00:10:244:1::101]:8080 1/2, [fd00:10:244:2::102]:8080 1/2',
    'tcp outside -> [fd00:55::10]:30160': masqueraded('[fd00:10:244:1::101]:8080 1/2', '[fd00:10:244:2::102]:8080 1/2'),
    'tcp node -> [::1]:30160': 'no-service: node port 30160 of default/dual:http does not answer on ::1',
    'tcp node -> 127.0.0.1:30160': masqueraded('10.244.1.101:8080 1/2', '10.244.2.102:8080 1/2'),
  },
  'external-ips': {
    'tcp outside -> 203.0.113.10:80': masqueraded('10.244.1.21:8080 1/2', '10.244.2.22:8080 1/2'),
    [`tcp ${POD} -> 203.0.113.11:80`]: masqueraded('10.244.1.21:8080 1/2', '10.244.2.22:8080 1/2'),
    [`tcp ${POD} -> 10.96.7.7:80`]: '10.244.1.21:8080 1/2, 10.244.2.22:8080 1/2',
  },
  'external-traffic-policy-local': {
    'tcp outside -> 198.51.100.30:80': '10.244.1.41:8080 1/2, 10.244.1.43:8080 1/2',
    [`tcp ${POD} -> 198.51.100.30:80`]: '10.244.1.41:8080 1/3, 10.244.1.43:8080 1/3, 10.244.2.42:8080 1/3',
    'tcp node -> 192.168.55.10:30900': masqueraded(
      '10.244.1.41:8080 1/3',
      '10.244.1.43:8080 1/3',
      '10.244.2.42:8080 1/3',
    ),
    'tcp outside -> 192.168.55.10:30901':
      'dropped: default/nolocal:http has no endpoints on this node (externalTrafficPolicy Local)',
    'tcp node -> 127.0.0.1:30901': '10.244.2.44:8080 masqueraded',
    'tcp outside -> 192.168.55.10:31999':
      'no-service: 31999 is the health-check node port of default/local, which the proxy itself answers',
  },
  'interface-prefix-local-mode': {
    [`tcp ${POD} -> 10.96.21.21:80 via cali0123`]: '10.244.1.151:8080',
    [`tcp ${POD} -> 10.96.21.21:80 via eth0`]: '10.244.1.151:8080 masqueraded',
    'tcp node -> 10.96.21.21:80': '10.244.1.151:8080 masqueraded',
  },
  'internal-traffic-policy-local': {
    [`tcp ${POD} -> 10.96.12.12:80`]: '10.244.1.61:8080',
    'tcp 10.244.1.61 -> 10.96.12.12:80': '10.244.1.61:8080 masqueraded',
    'tcp node -> 10.96.12.12:80': '10.244.1.61:8080 masqueraded',
  },
  'load-balancer-source-ranges': {
    'tcp 203.0.113.7 -> 198.51.100.20:80': masqueraded('10.244.1.31:80 1/2', '10.244.2.32:80 1/2'),
    'tcp 203.0.113.200 -> 198.51.100.20:80': 'dropped: 203.0.113.200 is not in the source ranges of default/lb:p80',
    [`tcp ${POD} -> 198.51.100.20:80`]: `dropped: ${POD} is not in the source ranges of default/lb:p80`,
    'tcp node -> 198.51.100.20:80': masqueraded('10.244.1.31:80 1/2', '10.244.2.32:80 1/2'),
    'tcp 198.51.100.20 -> 198.51.100.20:80': masqueraded('10.244.1.31:80 1/2', '10.244.2.32:80 1/2'),
    'tcp outside -> 192.168.55.10:30800': masqueraded('10.244.1.31:80 1/2', '10.244.2.32:80 1/2'),
  },
  'masquerade-all': { [`tcp ${POD} -> 10.96.18.18:80`]: '10.244.1.121:8080 masqueraded' },
  'no-endpoints': {
    [`tcp ${POD} -> 10.96.4.4:443`]: 'rejected: default/empty:https has no endpoints',
    'tcp node -> 10.96.4.4:443': 'rejected: default/empty:https has no endpoints',
    'tcp outside -> 203.0.113.9:443': 'rejected: default/empty:https has no endpoints',
    'tcp outside -> 198.51.100.7:443': 'rejected: default/empty:https has no endpoints',
    'tcp outside -> 192.168.55.10:30443': 'rejected: default/empty:https has no endpoints',
    'tcp node -> 203.0.113.9:443':
      "no-service: default/empty:https has no endpoints, and the node's own packet to 203.0.113.9 goes out unchanged",
    'tcp node -> 127.0.0.1:30443': 'rejected: default/empty:https has no endpoints',
  },
  'no-localhost-node-ports': {
    'tcp node -> 127.0.0.1:30230': 'no-service: node port 30230 of default/lh does not answer on 127.0.0.1',
    'tcp outside -> 192.168.55.10:30230': '10.244.1.171:8080 masqueraded',
  },
  'node-cidr-local-mode': {
    [`tcp ${POD} -> 10.96.19.19:80`]: '10.244.1.131:8080',
    'tcp 10.244.2.200 -> 10.96.19.19:80': '10.244.1.131:8080 masqueraded',
    'tcp outside -> 192.168.55.10:30190': '10.244.1.131:8080',
    'tcp node -> 192.168.55.10:30190': '10.244.1.131:8080 masqueraded',
  },
  'node-port': {
    'tcp outside -> 192.168.55.10:31131': '10.254.20.8:8080 masqueraded',
    'tcp node -> 127.0.0.1:32719': masqueraded('10.244.1.11:80 1/3', '10.244.2.12:80 1/3', '10.244.3.13:80 1/3'),
    [`tcp ${POD} -> 10.96.125.27:8080`]: '10.254.20.8:8080',
  },
  'node-port-addresses': {
    'tcp outside -> 192.168.55.10:30220': '10.244.1.161:8080 masqueraded',
    // No rule guards loopback here: nodePortAddresses leave it out.
    'tcp 192.168.55.10 -> 127.0.0.1:80': 'no-service: no Service has 127.0.0.1',
    'tcp node -> 127.0.0.1:30220': 'no-service: node port 30220 of default/np does not answer on 127.0.0.1',
  },
  sctp: {
    [`sctp ${POD} -> 10.96.15.15:3868`]: '10.244.1.91:3868',
    'sctp outside -> 192.168.55.10:30868': '10.244.1.91:3868 masqueraded',
  },
  'session-affinity': {
    [`tcp ${POD} -> 10.96.11.11:80`]: '10.244.1.51:8080 1/3, 10.244.2.52:8080 1/3, 10.244.3.53:8080 1/3',
  },
  'several-slices-duplicates': {
    [`tcp ${POD} -> 10.96.24.24:80`]: '10.244.1.181:8080 1/3, 10.244.2.182:8080 1/3, 10.244.2.183:9090 1/3',
    [`tcp ${POD} -> 10.96.24.24:81`]: '10.244.1.181:8081 1/2, 10.244.2.182:8081 1/2',
  },
  'skipped-services': {
    [`tcp ${POD} -> 10.96.17.18:80`]: '10.244.1.112:8080',
    [`tcp ${POD} -> 10.96.17.17:80`]: 'no-service: no Service has 10.96.17.17',
  },
  'terminating-endpoints': {
    [`tcp ${POD} -> 10.96.14.14:80`]: '10.244.2.82:8080',
    'tcp outside -> 192.168.55.10:30140': '10.244.1.81:8080',
    'tcp node -> 192.168.55.10:30140': '10.244.2.82:8080 masqueraded',
    [`tcp ${POD} -> 192.168.55.10:30140`]: '10.244.2.82:8080',
  },
  'topology-hints': { [`tcp ${POD} -> 10.96.13.13:80`]: '10.244.1.71:8080 1/2, 10.244.2.73:8080 1/2' },
}

/** What nft-ip.txt and nft-ip6.txt of mode nftables have otherwise for the same objects, read by hand; and what only they have. */
const OTHERWISE_IN_NFTABLES: typeof READ_BY_HAND = {
  'cluster-ip': {
    [`tcp ${POD} -> 10.110.243.155:7001`]:
      'rejected: pks-system/tenant-service at 10.110.243.155 has no port 7001 of TCP, and unused ports of cluster IPs are rejected',
    'tcp node -> 10.96.99.99:80': 'dropped: no Service has 10.96.99.99, which lies in the ServiceCIDR 10.96.0.0/12',
  },
  'dns-udp-tcp': {
    [`udp ${POD} -> 10.96.0.10:9153`]:
      'rejected: kube-system/kube-dns at 10.96.0.10 has no port 9153 of UDP, and unused ports of cluster IPs are rejected',
  },
  'dual-stack': {
    'tcp node -> 127.0.0.1:30160': 'no-service: node port 30160 of default/dual:http does not answer on 127.0.0.1',
    'tcp outside -> [fd00:10:96::99]:80':
      'dropped: no Service has fd00:10:96::99, which lies in the ServiceCIDR fd00:10:96::/112',
  },
  'external-traffic-policy-local': {
    'tcp node -> 127.0.0.1:30901': 'no-service: node port 30901 of default/nolocal:http does not answer on 127.0.0.1',
  },
  'no-endpoints': {
    'tcp node -> 203.0.113.9:443': 'rejected: default/empty:https has no endpoints',
    'tcp node -> 127.0.0.1:30443': 'no-service: node port 30443 of default/empty:https does not answer on 127.0.0.1',
  },
  'node-port': {
    'tcp node -> 127.0.0.1:32719': 'no-service: node port 32719 of default/nginx-demo-1 does not answer on 127.0.0.1',
  },
  'skipped-services': {
    // The Service of another proxy is none here: its address lies in the ServiceCIDR.
    [`tcp ${POD} -> 10.96.17.17:80`]: 'dropped: no Service has 10.96.17.17, which lies in the ServiceCIDR 10.96.0.0/12',
  },
}

describe("what a real kube-proxy's tables in mode nftables do to packets", () => {
  const rows = Object.entries(READ_BY_HAND).flatMap(([scenario, packets]) =>
    Object.entries({ ...packets, ...OTHERWISE_IN_NFTABLES[scenario] }).map(
      ([packet, expected]) => [scenario, packet, expected] as const,
    ),
  )

  it.each(rows)('%s: %s', (scenario, packet, expected) => {
    const { state, config } = golden(scenario, OF_NFTABLES)
    expect(fateIn(state, config, packet)).toBe(expected)
  })
})

describe("what a real kube-proxy's rules do to packets", () => {
  const rows = Object.entries(READ_BY_HAND).flatMap(([scenario, packets]) =>
    Object.entries(packets).map(([packet, expected]) => [scenario, packet, expected] as const),
  )

  it.each(rows)('%s: %s', (scenario, packet, expected) => {
    const { state, config } = golden(scenario)
    expect(fateIn(state, config, packet)).toBe(expected)
  })

  it('of 1002 endpoints each has its share', () => {
    const { state, config } = golden('large-cluster')
    const { endpoints } = route(state, config, packetOf(`tcp ${POD} -> 10.96.25.25:80`))
    expect(endpoints).toHaveLength(1002)
    expect(new Set(endpoints.map(({ odds }) => odds))).toEqual(new Set([1 / 1002]))
  })

  it('has been read in every scenario', () => {
    expect([...Object.keys(READ_BY_HAND), 'large-cluster'].sort()).toEqual(readdirSync(GOLDENS).sort())
  })
})
