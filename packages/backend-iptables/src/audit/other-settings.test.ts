import { type AuditedState, type IpFamily, nodeWithoutObject, type ProxyConfig } from '@pointsman/core'
import { describe, expect, test } from 'vitest'
import { iptablesDataplane } from '../dataplane.js'
import { readListing } from '../loaded-tables.js'
import { renderSave } from '../render/owned-rules.js'
import { planRuleset } from '../ruleset/service-rules.js'
import { GOLDENS, readGolden } from '../test-support/goldens.js'

const refuse = (message: string): Error => new Error(message)

const rulesOf = ({ state, config }: AuditedState, family: IpFamily): string =>
  [...renderSave(planRuleset(state, config, { family }))].map((line) => `${line}\n`).join('')

async function typesIn(text: string, wanted: AuditedState, family: IpFamily): Promise<readonly string[]> {
  const rules = await readListing(text, { name: 'rules', refuse })
  return iptablesDataplane
    .audit(rules, wanted, { family })
    .map(({ type, table, chain, detail = '' }) => [type, table, chain, detail].join(' ').trim())
}

const onNode =
  (name: string) =>
  ({ state, config }: AuditedState): AuditedState => ({
    state: { ...state, node: state.nodes?.get(name) ?? nodeWithoutObject(name) },
    config: { ...config, nodeName: name },
  })

const configured =
  (changes: Partial<ProxyConfig>) =>
  ({ state, config }: AuditedState): AuditedState => ({ state, config: { ...config, ...changes } })

const SETTINGS: readonly (readonly [string, string, (given: AuditedState) => AuditedState])[] = [
  ['OTHER_MASQUERADE_BIT', 'another bit', configured({ masqueradeBit: 15 })],
  [
    'OTHER_LOCAL_TRAFFIC',
    'another cluster CIDR',
    configured({ detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.42.0.0/16', 'fd42::/48'] } }),
  ],
  ['OTHER_LOCAL_TRAFFIC', 'no cluster CIDR', configured({ detectLocal: { mode: 'None' } })],
  ['OTHER_LOCAL_TRAFFIC', 'a bridge', configured({ detectLocal: { mode: 'BridgeInterface', bridge: 'cni0' } })],
  ['OTHER_LOCAL_TRAFFIC', 'a prefix', configured({ detectLocal: { mode: 'InterfaceNamePrefix', prefix: 'cali' } })],
  ['OTHER_LOCAL_TRAFFIC', 'the node CIDR', configured({ detectLocal: { mode: 'NodeCIDR' } })],
  ['OTHER_MASQUERADE_ALL', 'masqueradeAll', configured({ masqueradeAll: true })],
  [
    'OTHER_NODE_PORT_ADDRESSES',
    'other nodePortAddresses',
    configured({ nodePortAddresses: ['192.168.55.0/24', 'fd00:55::/64'] }),
  ],
  ['OTHER_LOCALHOST_NODE_PORTS', 'no node ports on localhost', configured({ localhostNodePorts: false })],
  ['OTHER_NODE_NAME', 'a name that no Node has', onNode('worker-01')],
  ['OTHER_NODE_NAME', 'the name of another node', onNode('node-b')],
]

/**
 * A proxy that takes local traffic from its Node does not begin without one. Thousands of endpoints show no more than a few, and half of the
 * scenarios no less than all. */
const isOf = (type: string, scenario: string): boolean =>
  scenario !== 'large-cluster' && (type !== 'OTHER_NODE_NAME' || scenario !== 'node-cidr-local-mode')

describe.each(SETTINGS)('%s: %s', (type, _, change) => {
  test.each(GOLDENS.filter((scenario, at) => at % 2 === type.length % 2 && isOf(type, scenario)))(
    'is one finding in %s',
    async (scenario) => {
      const { state, config } = readGolden(scenario)
      for (const family of ['IPv4', 'IPv6'] as const) {
        const [given, text] = [rulesOf({ state, config }, family), rulesOf(change({ state, config }), family)]
        const findings = await typesIn(text, { state, config }, family)
        // A single rule that is not there may have been deleted as well.
        const isOneRule = given.split('\n').length === text.split('\n').length + 1
        const wanted = given === text ? [] : [expect.stringMatching(isOneRule ? '^[A-Z_]+ ' : `^${type} `)]
        expect({ family, findings }).toEqual({ family, findings: wanted })
      }
    },
  )
})

test('settings that differ together are one finding each, and what else is wrong stays', async () => {
  const { state, config } = readGolden('external-traffic-policy-local')
  const changes = [
    configured({ masqueradeBit: 13, detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.42.0.0/16'] } }),
    onNode('worker-01'),
  ]
  const theirs = changes.reduce<AuditedState>((given, change) => change(given), { state, config })
  const text = rulesOf(theirs, 'IPv4').replace(/^-A PREROUTING .* -j KUBE-SERVICES\n/m, '')
  expect(await typesIn(text, { state, config }, 'IPv4')).toEqual([
    'OTHER_MASQUERADE_BIT   they use bit 13 (0x2000), and bit 14 was given; --iptables-masquerade-bit 13 gives theirs',
    'OTHER_LOCAL_TRAFFIC   theirs is 10.42.0.0/16, and 10.244.0.0/16 was given; --cluster-cidr 10.42.0.0/16 gives theirs',
    expect.stringMatching(/^OTHER_NODE_NAME {3}they count no endpoint as local, and \d+ endpoints are on node-a: /),
    'MISSING_JUMP nat PREROUTING',
  ])
})

test('rules of the iptables mode beside a configuration of another are one finding', async () => {
  const { state, config } = readGolden('node-port')
  const ipvs = { state, config: { ...config, mode: 'ipvs', localhostNodePorts: false } }
  expect(await typesIn(rulesOf({ state, config }, 'IPv4'), ipvs, 'IPv4')).toEqual([
    'OTHER_CONFIGURED_MODE   mode ipvs was given',
  ])
})

test('rules of which one has another CIDR than the others are of no other setting', async () => {
  const { state, config } = readGolden('dns-udp-tcp')
  const text = rulesOf({ state, config }, 'IPv4').replace(
    /^(-A KUBE-SVC-\w+ ! -s )10\.244\.0\.0\/16/m,
    '$110.42.0.0/16',
  )
  const findings = await typesIn(text, { state, config }, 'IPv4')
  expect(findings).toEqual([expect.stringMatching(/^CHANGED_RULE nat KUBE-SVC-/)])
})

test('the rules of another node are recognized as that node’s', async () => {
  const { state, config } = readGolden('external-traffic-policy-local')
  const text = rulesOf(onNode('node-b')({ state, config }), 'IPv4')
  const [finding] = await typesIn(text, { state, config }, 'IPv4')
  expect(finding).toContain('they count the endpoints on node-b as local, and node-a was given')
  expect(finding).toContain('--node node-b gives theirs')
})

test.each(['IPv4', 'IPv6'] as const)(
  'a firewall that lets everyone in is that of an older release: %s',
  async (family) => {
    const { state, config } = readGolden('load-balancer-source-ranges')
    const withRanges = (ranges: readonly string[]): AuditedState => ({
      config,
      state: {
        ...state,
        services: new Map([...state.services].map(([id, port]) => [id, { ...port, loadBalancerSourceRanges: ranges }])),
      },
    })
    const all = family === 'IPv4' ? '0.0.0.0/0' : '::/0'
    const findings = await typesIn(rulesOf(withRanges([all]), family), withRanges([]), family)
    const isGuarded = [...state.services.values()].some(
      (port) => port.family === family && port.loadBalancerVIPs.length > 0,
    )
    expect(findings).toEqual(isGuarded ? [expect.stringMatching(/^ZERO_RANGE_FIREWALL {3}it is of default\/lb:/)] : [])
  },
)
