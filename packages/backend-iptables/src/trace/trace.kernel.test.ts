import type { Trace } from '@pointsman/core'
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
  },
  IPv6: {
    nodeAddresses: ['fd00:55::10', 'fd00:10:244:1::1'],
    neighbour: 'fd00:10:244:1::5',
    elsewhere: ['2001:db8::9', 'fd00:10:96::a'],
    networks: ['fd00:10:244::/48', 'fd00:10:96::a/128', 'fd00:55::10/128', '2001:db8::/32'],
    interfaces: ['pod0', 'out0', 'out+', 'lo'],
  },
}

/** A quarter of the runs of other properties: each sends a packet. */
const numRuns = Math.ceil((fc.readConfigureGlobal().numRuns ?? 100) / 4)

let cases = 0

describeWithKernel(
  'a packet matches the rules in the kernel that its trace tells',
  () => {
    describe.each(['nft', 'legacy'] as const)('%s', (variant: Variant) => {
      let network: TwoHosts
      beforeAll(() => (network = createTwoHosts()))
      afterAll(() => network.remove())

      test.each(['IPv4', 'IPv6'] as const)('%s', async (family) => {
        const places = PLACES[family]
        const iptables = await network.node.iptables({ family, variant })
        const lists = (): readonly string[] => [`${variant}-${++cases}-a`, `${variant}-${cases}-b`]
        await fc.assert(
          fc.asyncProperty(randomTablesArbitrary(places, lists), async ({ text, packet }) => {
            await iptables.restore({ text, flush: true, counters: false })
            const tables = parseSave(await iptables.save())
            network.send(packet)
            const counted = countsOf(parseSave(await iptables.save({ counters: true })))
            const trace = traced(packet, { tables, places })
            expect({ counted: [...counted].toSorted(), way: stepsTold(trace) }).toEqual({
              counted: [...toldBy(trace)].toSorted(),
              way: stepsTold(trace),
            })
          }),
          { numRuns },
        )
      })
    })
  },
  ['bash', 'conntrack', 'sysctl'],
)

function traced(
  { own, destination, port }: RandomPacket,
  { tables, places }: { readonly tables: readonly SavedTable[]; readonly places: RandomPlaces },
): Trace {
  const isOwn = places.nodeAddresses.includes(destination)
  return tracePacket({
    tables,
    surroundings: { nodeAddresses: places.nodeAddresses, affinity: [] },
    packet: {
      protocol: 'udp',
      source: own ? (isOwn ? destination : (places.nodeAddresses[0] ?? '')) : places.neighbour,
      destination,
      destinationPort: port,
      from: own ? 'node' : 'pod',
      inInterface: own ? undefined : 'pod0',
      outInterface: 'out0',
    },
  })
}

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

function toldBy({ ways }: Trace): ReadonlySet<string> {
  const counts = new Map<string, number>()
  for (const step of ways[0]?.steps ?? []) {
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
    `ip link add pod0 type veth peer name eth0 netns ${pod.name}`,
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
    send: ({ own, destination, port }) => {
      // A source port that was used before would be taken for a connection that is known.
      node.run('sh', '-c', 'conntrack -F 2>&1')
      ;(own ? node : pod).run('bash', '-c', `echo -n x 2>/dev/null >/dev/udp/${destination}/${port} || true`)
    },
    remove: () => {
      pod.remove()
      node.remove()
    },
  }
}
