import { execFileSync } from 'node:child_process'
import type { Supposition, Trace } from '@pointsman/core'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { asJsonHasIt } from '../test-support/as-json-has-it.js'
import { describeWithNft } from '../test-support/kernel.js'
import { readJsonListing } from '../listing/read-json.js'
import { readTextListing } from '../listing/read-text.js'
import type { NftRuleset } from '../listing/model.js'
import { traceRuleset } from './trace-ruleset.js'

/** A quarter of the runs of other properties: each sends a packet. */
const numRuns = Math.ceil((fc.readConfigureGlobal().numRuns ?? 100) / 4)

const PATIENCE_MS = 300_000

describeWithNft('a packet matches the rules in the kernel that its trace tells', () => {
  let network: TwoHosts
  beforeAll(() => {
    network = createTwoHosts()
  })
  afterAll(() => network.remove())

  test(
    'IPv4, in tables of ip and inet',
    () => {
      fc.assert(
        fc.property(rulesetArbitrary, packetArbitrary, (text, packet) => {
          network.load(text)
          const asked = readTextListing(network.list())
          expect(asJsonHasIt(asked)).toEqual(readJsonListing(network.list('-j')))
          network.send(packet)
          const counted = countsOf(readTextListing(network.list()))
          const trace = traced(asked, packet)
          const way = wayTaken(trace)
          const steps = (trace.ways[way]?.steps ?? []).flatMap((step) =>
            step.type === 'rule' ? [`${step.table} ${step.chain} ${step.number}`] : [],
          )
          expect({ text, packet, counted: [...counted].toSorted() }).toEqual({
            text,
            packet,
            counted: steps.toSorted(),
          })
        }),
        { numRuns },
      )
    },
    PATIENCE_MS,
  )
})

interface RandomPacket {
  readonly own: boolean
  readonly destination: string
  readonly port: number
}

const NODE = ['192.168.55.10', '10.244.1.1']
const POD = '10.244.1.5'
const ELSEWHERE = ['203.0.113.9', '10.96.0.10']

const packetArbitrary: fc.Arbitrary<RandomPacket> = fc.record({
  own: fc.boolean(),
  destination: fc.constantFrom(...NODE, ...ELSEWHERE),
  port: fc.constantFrom(53, 80, 8080),
})

function traced(ruleset: NftRuleset, { own, destination, port }: RandomPacket): Trace {
  const [first = ''] = NODE
  return traceRuleset(ruleset, {
    packet: {
      protocol: 'udp',
      source: own ? (NODE.includes(destination) ? destination : first) : POD,
      destination,
      destinationPort: port,
      from: own ? 'node' : 'pod',
      inInterface: own ? undefined : 'pod0',
      outInterface: 'out0',
      uid: 0,
      gid: 0,
    },
    surroundings: {
      nodeAddresses: NODE,
      affinity: [],
      interfaces: [
        { name: 'out0', addresses: [first] },
        { name: 'pod0', addresses: [NODE[1] ?? ''] },
        // The kernel masquerades what goes by lo with the address of the first interface.
        { name: 'lo', addresses: [first] },
      ],
    },
  })
}

/** The one way of which everything is so that it supposes. */
function wayTaken({ ways }: Trace): number {
  const isSo = ({ text, holds }: Supposition): boolean => isTrue(text) === holds
  const taken = ways.flatMap(({ when = [[]] }, index) => (when.some((all) => all.every(isSo)) ? [index] : []))
  expect(taken).toHaveLength(1)
  return taken[0] ?? 0
}

/** What is so of every packet here: its source port is one that the kernel chooses. */
function isTrue(text: string): boolean {
  const [, low, high] = /^the source port is (\d+)-(\d+)$/.exec(text) ?? []
  if (low === undefined) throw new Error(`nobody says whether ${text}`)
  return Number(low) <= 1024 && Number(high) === 65_535
}

/** `inet one forward 3`: rules that have matched; their counter stands behind their conditions. */
function countsOf({ tables }: NftRuleset): readonly string[] {
  return tables.flatMap(({ family, name, chains }) =>
    chains.flatMap((chain) =>
      chain.rules.flatMap(({ statements }, at) => {
        const counter = statements.findLast((one) => one.type === 'counter')
        return counter?.type === 'counter' && (counter.packets ?? 0) > 0
          ? Array.from({ length: counter.packets ?? 0 }, () => `${family} ${name} ${chain.name} ${at + 1}`)
          : []
      }),
    ),
  )
}

/** Conditions that hold or not by what is known of the packet. */
const CONDITIONS = [
  ...NODE.flatMap((address) => [`ip daddr ${address}`, `ip saddr != ${address}`]),
  'ip saddr 10.244.0.0/16',
  'ip daddr != 10.96.0.0/12',
  'ip daddr { 10.96.0.10, 192.168.55.10 }',
  'ip daddr @hosts',
  'ip saddr != @hosts',
  'ip daddr @nets',
  'ip saddr . ip daddr @pairs',
  'ip daddr . meta l4proto . th dport @services',
  'ip daddr . udp dport { 10.96.0.10 . 53, 203.0.113.0/24 . 80-90 }',
  'ip daddr & 255.255.255.0 == 192.168.55.0',
  'udp dport 53',
  'udp dport != { 53, 8000-9000 }',
  'udp dport > 80',
  'udp sport 1024-65535',
  'tcp dport 80',
  'meta l4proto { tcp, udp }',
  'ip protocol udp',
  'meta nfproto ipv4',
  'meta mark 0x1',
  'meta mark & 0x3 == 0x1',
  'meta mark & 0x3 != 0x0',
  'meta mark != { 0x1, 0x4000 }',
  'ct mark 0x1',
  'ct state new',
  'ct state established,related',
  'ct state { new, untracked }',
  'ct state != new',
  'ct status dnat',
  'ct status snat',
  'ct direction original',
  'ct original ip daddr 10.96.0.10',
  'iifname "pod0"',
  'iifname { "pod0", "lo" }',
  'iifname "po*"',
  'oifname != "out0"',
  'fib daddr type local',
  'fib saddr type local',
  'fib daddr type { local, broadcast }',
  'meta pkttype host',
  'numgen random mod 1 0',
  'limit rate 100/second burst 100 packets',
  'ip saddr @seen',
]

const ACTIONS = [
  '',
  'accept',
  'return',
  'continue',
  'meta mark set 0x1',
  'meta mark set meta mark | 0x2',
  'meta mark set meta mark ^ 0x3',
  'meta mark set meta mark & 0x2 | 0x4000',
  'meta mark set ct mark',
  'ct mark set meta mark',
  'ct mark set 0x1',
  'log prefix "x "',
  'update @seen { ip saddr }',
  'meta mark set udp dport map { 53 : 0x1, 80 : 0x2 }',
]

const VMAPS = (chains: readonly string[]): readonly string[] =>
  chains.length === 0
    ? ['udp dport vmap { 53 : accept, 80 : return }']
    : chains.flatMap((chain) => [
        `udp dport vmap { 53 : accept, 80-90 : jump ${chain} }`,
        `ip daddr . meta l4proto . th dport vmap { 10.96.0.10 . udp . 53 : goto ${chain}, 192.168.55.10 . udp . 80 : return }`,
      ])

const NAT_ACTIONS: Readonly<Record<string, readonly string[]>> = {
  prerouting: [
    'dnat ip to 10.96.0.10:8080',
    'dnat ip to 192.168.55.10',
    'dnat ip to ip daddr map { 10.96.0.10 : 192.168.55.10, 192.168.55.10 : 203.0.113.9 }',
    'meta l4proto udp dnat ip to numgen random mod 1 map { 0 : 203.0.113.9 . 80 }',
    'redirect to :8080',
  ],
  output: ['dnat ip to 203.0.113.9:80', 'dnat ip to 192.168.55.10', 'redirect to :53'],
  input: ['snat ip to 203.0.113.9'],
  postrouting: ['masquerade', 'masquerade fully-random', 'snat ip to 203.0.113.10'],
}

const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const

const SETS = `
 set hosts { type ipv4_addr; elements = { ${POD}, ${ELSEWHERE[0] ?? ''} }; }
 set nets { type ipv4_addr; flags interval; elements = { 10.244.0.0/16, 192.168.55.1-192.168.55.9 }; }
 set pairs { type ipv4_addr . ipv4_addr; elements = { ${POD} . 10.96.0.10, 192.168.55.10 . 203.0.113.9 }; }
 set services { type ipv4_addr . inet_proto . inet_service; elements = { 10.96.0.10 . udp . 53, 192.168.55.10 . udp . 80 }; }
 set seen { type ipv4_addr; size 100; flags dynamic,timeout; timeout 1h; }
`

interface RandomChain {
  readonly hook: (typeof HOOKS)[number]
  readonly isNat: boolean
  readonly offset: number
  readonly rules: readonly string[]
  readonly jumped: readonly string[]
  readonly drops: boolean
}

const ruleArbitrary = (
  hook: string,
  { isNat, chains }: { readonly isNat: boolean; readonly chains: readonly string[] },
): fc.Arbitrary<string> => {
  // A nat chain is asked for the first packet alone: all that it does besides is the same.
  const actions = [
    ...ACTIONS,
    ...(isNat ? [...(NAT_ACTIONS[hook] ?? []), ...(NAT_ACTIONS[hook] ?? [])] : ['drop']),
    ...(!isNat && hook !== 'prerouting' && hook !== 'postrouting' ? ['reject'] : []),
  ]
  // What is marked for its interface is not known before it is routed.
  const conditions = CONDITIONS.filter(
    (one) => !one.startsWith('oifname') || hook === 'postrouting' || hook === 'forward',
  )
  const plain = fc
    .tuple(fc.uniqueArray(fc.constantFrom(...conditions), { maxLength: 2 }), fc.constantFrom(...actions))
    .map(([asked, action]) => [...asked, 'counter', action].filter((part) => part !== '').join(' '))
  if (chains.length === 0) return plain
  const jump = fc
    .tuple(fc.constantFrom('', ...conditions), fc.constantFrom('jump', 'goto'), fc.constantFrom(...chains, ...chains))
    .map(([asked, how, chain]) => `${asked} counter ${how} ${chain}`.trim())
  return fc.oneof({ weight: 3, arbitrary: plain }, { weight: 1, arbitrary: jump })
}

const chainArbitrary = (hook: (typeof HOOKS)[number], isNat: boolean, name: string): fc.Arbitrary<RandomChain> =>
  fc.record({
    hook: fc.constant(hook),
    isNat: fc.constant(isNat),
    offset: fc.constantFrom(-5, 0, 5),
    rules: fc.array(ruleArbitrary(hook, { isNat, chains: [`${name}-1`] }), { maxLength: 4 }),
    jumped: fc.array(ruleArbitrary(hook, { isNat, chains: [] }), { maxLength: 3 }),
    drops: isNat ? fc.constant(false) : fc.boolean().map((drops) => drops && hook !== 'output'),
  })

const tableArbitrary = (head: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      ...HOOKS.map((hook) => chainArbitrary(hook, false, hook)),
      ...HOOKS.filter((hook) => hook !== 'forward').map((hook) => chainArbitrary(hook, true, `nat-${hook}`)),
    )
    .map((chains) => `table ${head} {${SETS}\n${chains.map(chainText).join('\n')}\n}\n`)

const PRIORITIES: Readonly<Record<string, number>> = { prerouting: -100, output: -100, input: 100, postrouting: 100 }

/** Rules for UDP alone, so that answers of ICMP are left alone. */
function chainText({ hook, isNat, offset, rules, jumped, drops }: RandomChain): string {
  const name = isNat ? `nat-${hook}` : hook
  const priority = isNat ? (PRIORITIES[hook] ?? 0) + offset : offset
  return [
    `chain ${name}-1 {\n${jumped.join('\n')}\n}`,
    `chain ${name}-0 {\n${rules.join('\n')}\n${drops ? 'meta l4proto udp counter drop\n' : ''}}`,
    `chain ${name} {\ntype ${isNat ? 'nat' : 'filter'} hook ${hook} priority ${priority}; policy accept;\nmeta l4proto udp counter jump ${name}-0\n}`,
  ].join('\n')
}

const rulesetArbitrary: fc.Arbitrary<string> = fc
  .tuple(tableArbitrary('ip one'), fc.boolean(), tableArbitrary('inet two'))
  .map(([one, hasTwo, two]) => `${one}${hasTwo ? two : ''}`)

interface TwoHosts {
  readonly load: (text: string) => void
  readonly list: (...flags: readonly string[]) => string
  readonly send: (packet: RandomPacket) => void
  readonly remove: () => void
}

/** A node with a pod behind pod0, and out0 to everywhere else, where nobody answers. */
function createTwoHosts(): TwoHosts {
  const node = `nft-trace-${process.pid}-node`
  const pod = `nft-trace-${process.pid}-pod`
  const on = (namespace: string, argv: readonly string[], input = ''): string =>
    execFileSync('ip', ['netns', 'exec', namespace, ...argv], {
      encoding: 'utf8',
      input,
      stdio: 'pipe',
      maxBuffer: 2 ** 28,
    })
  const each = (namespace: string, ...commands: readonly string[]): void => {
    for (const command of commands) on(namespace, command.split(' '))
  }
  for (const name of [node, pod]) execFileSync('ip', ['netns', 'add', name])
  each(
    node,
    `ip link add out0 type veth peer name nobody netns ${pod}`,
    `ip link add pod0 type veth peer name eth0 netns ${pod}`,
    ...['lo', 'pod0', 'out0'].map((name) => `ip link set ${name} up`),
    'ip address add 10.244.1.1/24 dev pod0',
    'ip address add 192.168.55.10/24 dev out0',
    'ip route add default via 192.168.55.1',
    'sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0',
    'sysctl -q -w net.ipv4.conf.pod0.rp_filter=0 net.ipv4.conf.out0.rp_filter=0',
  )
  each(
    pod,
    ...['lo', 'eth0', 'nobody'].map((name) => `ip link set ${name} up`),
    'ip address add 10.244.1.5/24 dev eth0',
    'ip route add default via 10.244.1.1',
  )
  return {
    load(text) {
      // A source port that was used before would be taken for a connection that is known.
      on(node, ['sh', '-c', 'conntrack -F 2>&1'])
      on(node, ['nft', '-f', '-'], `flush ruleset\n${text}`)
    },
    list: (...flags) => on(node, ['nft', ...flags, 'list', 'ruleset']),
    send: ({ own, destination, port }) =>
      void on(own ? node : pod, ['bash', '-c', `echo -n x 2>/dev/null >/dev/udp/${destination}/${port} || true`]),
    remove() {
      for (const name of [pod, node]) execFileSync('ip', ['netns', 'del', name])
    },
  }
}
