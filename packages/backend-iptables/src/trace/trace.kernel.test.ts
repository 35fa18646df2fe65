import type { Supposition, Trace } from '@pointsman/core'
import { networkContains } from '@pointsman/core/trace'
import fc from 'fast-check'
import { formatRule, parseSave, type SavedTable, type Variant } from 'node-iptables'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKernelNamespace, describeWithKernel, type KernelNamespace } from '../test-support/kernel.js'
import { randomTablesArbitrary, type RandomPacket, type RandomPlaces } from '../test-support/random-tables.js'
import { stepsTold } from '../test-support/tell-trace.js'
import { tracePacket } from './trace-packet.js'

const PLACES: { readonly [family in 'IPv4' | 'IPv6']: RandomPlaces } = {
  IPv4: {
    nodeAddresses: ['192.168.55.10', '10.244.1.1'],
    neighbour: '10.244.1.5',
    elsewhere: ['203.0.113.9', '10.96.0.10'],
    networks: ['10.244.0.0/16', '10.96.0.10/32', '192.168.55.10/32', '203.0.113.0/255.255.0.255'],
    interfaces: ['pod0', 'out0', 'out+', 'lo'],
    ranges: ['10.244.1.5-10.244.1.9', '10.96.0.0-192.168.55.10', '203.0.113.10-203.0.113.20'],
    maps: ['10.244.1.0/24', '203.0.0.0/16'],
    macs: ['02:00:00:00:00:05', '02:00:00:00:00:06'],
  },
  IPv6: {
    nodeAddresses: ['fd00:55::10', 'fd00:10:244:1::1'],
    neighbour: 'fd00:10:244:1::5',
    elsewhere: ['2001:db8::9', 'fd00:10:96::a'],
    networks: ['fd00:10:244::/48', 'fd00:10:96::a/128', 'fd00:55::10/128', '2001:db8::/32'],
    interfaces: ['pod0', 'out0', 'out+', 'lo'],
    ranges: ['fd00:10:244:1::5-fd00:10:244:1::9', 'fd00:10:96::-fd00:55::10', '2001:db8::10-2001:db8::20'],
    maps: ['fd00:10:244:1::/64', '2001:db8::/32'],
    macs: ['02:00:00:00:00:05', '02:00:00:00:00:06'],
  },
}

/** For `ipset restore`. */
const setsFor = (family: 'IPv4' | 'IPv6', { nodeAddresses, neighbour, elsewhere, networks }: RandomPlaces): string => {
  const create = (name: string, type: string): string =>
    `create ${name} ${type}${type.startsWith('hash') ? ` family ${family === 'IPv4' ? 'inet' : 'inet6'}` : ''}\nflush ${name}`
  return [
    create('hosts', 'hash:ip'),
    `add hosts ${neighbour}`,
    `add hosts ${elsewhere[0]}`,
    create('nets', 'hash:net'),
    `add nets ${networks[0]}`,
    `add nets ${neighbour}/${family === 'IPv4' ? 30 : 126} nomatch`,
    `add nets ${nodeAddresses[0]}`,
    create('services', 'hash:ip,port'),
    `add services ${elsewhere[1]},udp:53`,
    `add services ${nodeAddresses[0]},udp:8080`,
    `add services ${nodeAddresses[1]},tcp:80`,
    create('ports', 'bitmap:port range 1-9000'),
    'add ports 53',
    'add ports 8000-8080',
    '',
  ]
    .join('\n')
    .replaceAll(/^(create|flush|add) (\w+)/gm, `$1 $2-${family}`)
}

/** A quarter of the runs of other properties: each sends a packet. */
const numRuns = Math.ceil((fc.readConfigureGlobal().numRuns ?? 100) / 4)

/** Each run starts some ten processes. */
const PATIENCE_MS = 300_000

let cases = 0

describeWithKernel(
  'a packet matches the rules in the kernel that its trace tells',
  () => {
    describe.each(['nft', 'legacy'] as const)('%s', (variant: Variant) => {
      let network: TwoHosts
      beforeAll(() => (network = createTwoHosts()))
      afterAll(() => network.remove())

      test.each(['IPv4', 'IPv6'] as const)(
        '%s',
        async (family) => {
          const places = PLACES[family]
          const iptables = await network.node.iptables({ family, variant })
          const sets = setsFor(family, places)
          const lists = (): readonly string[] => [`${variant}-${++cases}-a`, `${variant}-${cases}-b`]
          await fc.assert(
            fc.asyncProperty(randomTablesArbitrary(places, lists), fc.boolean(), async (random, isHidden) => {
              const { packet } = random
              const text = (isHidden ? withoutPorts(random.text) : random.text).replaceAll(
                /(--(?:match|add|del)-set) (\w+)/g,
                `$1 $2-${family}`,
              )
              network.prepare(sets)
              await iptables.restore({ text, flush: true, counters: false })
              const tables = parseSave(await iptables.save())
              network.send(packet)
              const counted = countsOf(parseSave(await iptables.save({ counters: true })))
              const trace = traced(packet, { tables, places, ipsets: sets.replaceAll(/^flush.*\n/gm, ''), isHidden })
              const way = wayTaken(trace, packet, places)
              const steps = stepsTold(trace, way)
              // Of joined ways, the steps of one are listed.
              const isWhole = trace.ways[way]?.steps.every(({ type }) => type !== 'joined') === true
              const withoutOpen = (lines: ReadonlySet<string>): readonly string[] =>
                [...lines].filter((line) => !isOpen(line, trace, way)).toSorted()
              if (!isWhole)
                expect(
                  [...counted].filter((line) => endsBy(trace, way).some((end) => line.startsWith(end))),
                ).toHaveLength(endsBy(trace, way).length)
              else
                expect({ counted: withoutOpen(counted), way: steps }).toEqual({
                  counted: withoutOpen(toldBy(trace, way)),
                  way: steps,
                })
            }),
            { numRuns },
          )
        },
        PATIENCE_MS,
      )
    })
  },
  ['bash', 'conntrack', 'ipset', 'sysctl'],
)

/** Rules without sets that change, or that the words for an element do not tell. */
const withoutPorts = (text: string): string =>
  text.replaceAll(/-j SET .*/g, '-j LOG').replaceAll('--match-set ports', '--match-set hosts')

interface Known {
  readonly tables: readonly SavedTable[]
  readonly places: RandomPlaces
  readonly ipsets: string
  /** That of the packet and of the node which a rule alone tells is not given. */
  readonly isHidden: boolean
}

function traced({ own, destination, port }: RandomPacket, { tables, places, ipsets, isHidden }: Known): Trace {
  const isOwn = places.nodeAddresses.includes(destination)
  const [first = '', second = ''] = places.nodeAddresses
  return tracePacket({
    tables,
    surroundings: {
      nodeAddresses: places.nodeAddresses,
      affinity: [],
      ...(!isHidden && {
        ipsets,
        interfaces: [
          { name: 'out0', addresses: [first] },
          { name: 'pod0', addresses: [second] },
          // The kernel masquerades what goes by lo with the address of the first interface.
          { name: 'lo', addresses: [first] },
        ],
      }),
    },
    packet: {
      protocol: 'udp',
      source: own ? (isOwn ? destination : first) : places.neighbour,
      destination,
      destinationPort: port,
      from: own ? 'node' : 'pod',
      ...(!isHidden && {
        inInterface: own ? undefined : 'pod0',
        outInterface: 'out0',
        mac: places.macs[0],
        uid: 0,
        gid: 0,
        bridgeIn: '',
        bridgeOut: '',
      }),
    },
  })
}

/** The one way of which everything is so that it supposes. */
function wayTaken({ ways }: Trace, packet: RandomPacket, places: RandomPlaces): number {
  const isSo = ({ text, holds }: Supposition): boolean => truthOf(text, packet, places) === holds
  const taken = ways.flatMap(({ when = [[]] }, index) => (when.some((all) => all.every(isSo)) ? [index] : []))
  expect(taken).toHaveLength(1)
  return taken[0] ?? 0
}

/** Whether it is so of the packets that are sent, on this node. */
function truthOf(text: string, { own }: RandomPacket, places: RandomPlaces): boolean {
  const found = TRUTHS.find(([pattern]) => pattern.test(text))
  if (found === undefined) throw new Error(`nobody says whether ${text}`)
  return found[1](found[0].exec(text)?.[1] ?? '', { own, places, text })
}

interface TruthPlace {
  readonly own: boolean
  readonly places: RandomPlaces
  readonly text: string
}

const TRUTHS: readonly (readonly [RegExp, (value: string, place: TruthPlace) => boolean])[] = [
  [/ --string "?x"? /, () => true],
  [/ --string "?y"? /, () => false],
  [/-m length --length (\d+)/, (least) => least === '0'],
  [/-m u32 /, () => false],
  [/^the program that reads queue (\d+) lets it go on$/, (queue) => queue === '8'],
  [/^a process listens on .* for TPROXY$/, () => false],
  [/^it arrives by (?:an interface )?(\S+)$/, (name) => 'pod0'.startsWith(name.replace('...', ''))],
  [/^it leaves by (?:an interface )?(\S+)$/, (name) => 'out0'.startsWith(name.replace('...', ''))],
  [/^it (?:comes in|goes out) by /, () => false],
  [/^the sender's MAC address is (\S+)$/, (mac, { places }) => mac === places.macs[0]],
  [/^the sender's [ug]id is (\S+)$/, (id) => id === '0'],
  [
    /^the set (?:\w+)-IPv[46] has (\S+)/,
    (address, { places, text }) => {
      const { neighbour, elsewhere, nodeAddresses, networks } = places
      if (text.includes('set hosts')) return address === neighbour || address === elsewhere[0]
      if (text.includes('set nets'))
        return (
          address === nodeAddresses[0] ||
          (networkContains(networks[0] ?? '', address) &&
            !networkContains(`${neighbour}/${address.includes(':') ? 126 : 30}`, address))
        )
      return (
        text.endsWith(`${elsewhere[1]} udp:53 (dst,dst)`) || text.endsWith(`${nodeAddresses[0]} udp:8080 (dst,dst)`)
      )
    },
  ],
  [/^the address that MASQUERADE gives it is another than it had$/, () => false],
  [
    /^the address that (?:MASQUERADE|NETMAP) .* is in (\S+)$/,
    (network, { places }) => networkContains(network, places.nodeAddresses[0] ?? ''),
  ],
]

/** `nat PREROUTING 1 x1`: how often each rule has matched. */
function countsOf(tables: readonly SavedTable[]): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { table, chains } of tables) {
    for (const { chain, rules } of chains) {
      for (const [index, { rule, counters }] of rules.entries()) {
        if (counters !== undefined && counters.packets !== '0')
          found.add(`${table} ${chain} ${index + 1} x${counters.packets} ${formatRule(rule)}`)
      }
    }
  }
  return found
}

/** Whether it is unknown if a rule matches, and does not matter. */
const isOpen = (line: string, { ways }: Trace, way: number): boolean =>
  (ways[way]?.steps ?? []).some(
    (step) =>
      step.type === 'rule' &&
      step.conditions.some(({ open }) => open === true) &&
      line.startsWith(`${step.table} ${step.chain} ${step.number} `),
  )

/** The rule that ends a way, as counters begin: `filter FORWARD-0 1 `. */
function endsBy({ ways }: Trace, way: number): readonly string[] {
  const end = ways[way]?.end
  if (end?.fate !== 'dropped' && end?.fate !== 'rejected') return []
  const { table, chain, number } = end.by
  return number === undefined ? [] : [`${table} ${chain} ${number} `]
}

function toldBy({ ways }: Trace, way: number): ReadonlySet<string> {
  const counts = new Map<string, number>()
  for (const step of ways[way]?.steps ?? []) {
    if (step.type !== 'rule') continue
    const { table, chain, number, rule } = step
    const key = `${table} ${chain} ${number} xN ${rule.line.slice(`-A ${chain} `.length)}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return new Set([...counts].map(([key, count]) => key.replace('xN', `x${count}`)))
}

interface TwoHosts {
  readonly node: KernelNamespace
  readonly send: (packet: RandomPacket) => void
  /** Forgets all connections, and makes the sets what a text for `ipset restore` says. */
  readonly prepare: (text: string) => void
  readonly remove: () => void
}

/** A node with a pod behind pod0, and out0 to everywhere else, where nobody answers. */
function createTwoHosts(): TwoHosts {
  const node = createKernelNamespace()
  const pod = createKernelNamespace()
  const on = ({ run }: KernelNamespace, ...commands: readonly string[]): void => {
    for (const command of commands) run(...command.split(' '))
  }
  on(
    node,
    // The kernel masquerades what goes by lo with the address of the first interface.
    `ip link add out0 type veth peer name nobody netns ${pod.name}`,
    `ip link add pod0 type veth peer name eth0 address 02:00:00:00:00:05 netns ${pod.name}`,
    ...['lo', 'pod0', 'out0'].map((name) => `ip link set ${name} up`),
    'ip address add 10.244.1.1/24 dev pod0',
    'ip address add fd00:10:244:1::1/64 dev pod0 nodad',
    'ip address add 192.168.55.10/24 dev out0',
    'ip address add fd00:55::10/64 dev out0 nodad',
    'ip route add default via 192.168.55.1',
    'ip route add default via fd00:55::1 src fd00:55::10',
    'sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0',
    'sysctl -q -w net.ipv4.conf.pod0.rp_filter=0 net.ipv4.conf.out0.rp_filter=0',
  )
  on(
    pod,
    ...['lo', 'eth0', 'nobody'].map((name) => `ip link set ${name} up`),
    'ip address add 10.244.1.5/24 dev eth0',
    'ip address add fd00:10:244:1::5/64 dev eth0 nodad',
    'ip route add default via 10.244.1.1',
    'ip route add default via fd00:10:244:1::1',
  )
  return {
    node,
    prepare: (text) =>
      // A source port that was used before would be taken for a connection that is known.
      void node.run(
        'sh',
        '-c',
        `printf '${text}' | ipset restore -exist; conntrack -F 2>&1; conntrack -F -f ipv6 2>&1`,
      ),
    send: ({ own, destination, port }) => {
      ;(own ? node : pod).run('bash', '-c', `echo -n x 2>/dev/null >/dev/udp/${destination}/${port} || true`)
    },
    remove: () => {
      pod.remove()
      node.remove()
    },
  }
}
