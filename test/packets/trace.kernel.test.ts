import { tracePacket } from '@pointsman/backend-iptables'
import type { IpFamily, Trace, Verdict } from '@pointsman/core'
import { parseSave, type SavedTable } from 'node-iptables'
import { expect, test } from 'vitest'
import { describeWorlds } from './describe-worlds.js'
import { fateByMeaning, fateSeen } from './fate.js'
import { addressOf, FAMILIES, nodeAddresses } from './names.js'
import { readPacket, type PacketInFamily } from './packet.js'
import { INTERFACES } from './topology.js'
import type { Scenario, World } from './world.js'

/*
 * What is saved from the node, traced, against what becomes of real packets: with rules of others as well, of which the
 * meaning of Services says nothing.
 */

const SCENARIO: Scenario = {
  services: [
    {
      nodePort: 30080,
      externalIPs: ['external'],
      vips: ['vip'],
      sourceRanges: ['192.0.2.0/24', '2001:db8:c::/64'],
      externalTrafficPolicy: 'Local',
      endpoints: ['near-a', 'near-b', 'far-c'],
    },
    { name: 'other', nodePort: 30081, endpoints: [] },
  ],
}

const PACKETS = [
  'tcp near-a -> web:80',
  'tcp client -> web:80',
  'tcp node -> web:80',
  'tcp client -> node:30080',
  'tcp client -> external:80',
  'tcp client -> vip:80',
  'tcp stranger -> vip:80',
  'tcp near-a -> other:80',
  'tcp client -> node:30081',
  'tcp client -> nobody:80',
]

/** `TABLE CHAIN RULE`, with names for addresses. */
const RULES_OF_OTHERS: { readonly [name: string]: readonly string[] } = {
  none: [],
  'a firewall that lets one endpoint answer nobody': ['filter FORWARD -d NEAR-B -p tcp -m tcp --dport 8080 -j DROP'],
  'a firewall that tells pods at once': ['filter FORWARD -i POD-A -p tcp -m conntrack --ctstate NEW -j REJECT'],
  'a network that gives its own address to what leaves it': ['nat POSTROUTING -d PODS -j MASQUERADE'],
  'another proxy, which comes first': [
    'nat PREROUTING -d WEB -p tcp -m tcp --dport 80 -j DNAT --to-destination FAR-C',
    'nat PREROUTING -d NOBODY -p tcp -m tcp --dport 80 -j DNAT --to-destination FAR-C',
  ],
  'dice of three sides': [
    'filter FORWARD -p tcp -m conntrack --ctstate NEW -m statistic --mode random --probability 0.33333 -j REJECT',
  ],
}

const CASES = [
  ...Object.entries(RULES_OF_OTHERS).map(([name, rules]) => ['current', name, rules] as const),
  ['classic', 'none', []] as const,
]

describeWorlds('a trace of what is saved from the node', (worlds) => {
  test.each(CASES)('layout %s, with rules of others: %s', async (layout, _, rules) => {
    await worlds.apply({ ...SCENARIO, config: { layout } })
    // Whether a packet to an external IP came over a bridge is open to a trace, and decides in layout classic.
    const packets = PACKETS.filter((text) => layout === 'current' || !text.includes('external'))
    await withRules(worlds.all, rules, async () => {
      // One packet after the other: each is sent many times at once.
      const lanes = worlds.all.flatMap((world) => FAMILIES.map((family) => ({ world, family })))
      const compared = lanes.map(async ({ world, family }) => {
        const rows: Comparison[] = []
        const tables = parseSave((await world.iptables[FAMILIES.indexOf(family)]?.save()) ?? '')
        for (const text of packets) rows.push(await comparison(world, tables, { ...readPacket(text), family }))
        return rows
      })
      const found = (await Promise.all(compared)).flat()
      const told = (of: 'seen' | 'traced'): object => Object.fromEntries(found.map((row) => [row.packet, row[of]]))
      expect(told('seen')).toEqual(told('traced'))
    })
  })
})

interface Comparison {
  readonly packet: string
  readonly seen: string
  readonly traced: string
}

async function comparison(world: World, tables: readonly SavedTable[], packet: PacketInFamily): Promise<Comparison> {
  const { family, protocol, from, to, port } = packet
  const trace = tracePacket({
    tables,
    surroundings: { nodeAddresses: nodeAddresses(family) },
    packet: {
      protocol,
      source: addressOf(from, family),
      destination: addressOf(to, family),
      destinationPort: port,
      from: from === 'node' ? 'node' : 'outside',
      inInterface: from in INTERFACES ? INTERFACES[from as keyof typeof INTERFACES] : undefined,
    },
  })
  const text = `${protocol} ${from} -> ${to}:${port}`
  const outcomes = await world.send(text, { family, times: TIMES, patienceMs: PATIENCE_MS })
  return {
    packet: `${world.variant} ${family} ${text}`,
    seen: fateSeen(outcomes, packet),
    traced: fateTraced(trace, packet),
  }
}

/**
 * TCP sends a packet again that was dropped, after a second, and then the choice is made anew: what becomes of one in
 * three is all that one in nine senders sees. It stays unseen once in fifty million times.
 */
const TIMES = 150
const PATIENCE_MS = 3_000

/** In the words of fate.ts. */
function fateTraced({ fates, endpoints }: Trace, packet: PacketInFamily): string {
  const told = (verdict: Verdict): string =>
    fateByMeaning(
      {
        verdict,
        reason: '',
        endpoints: endpoints.map(({ address, port, source }) => ({
          address,
          port,
          odds: 1,
          masqueraded: source.rewritten !== 'no',
        })),
      },
      packet,
    )
  // Everything that these rules ask is known.
  const all = fates.flatMap(({ fate }) => (fate === 'depends' ? [] : [fate]))
  const words = all.filter((fate) => fate !== 'endpoints').map(told)
  return [...(all.includes('endpoints') ? [told('endpoints')] : []), ...words.toSorted()].join('; ')
}

/** Has rules of others on the nodes for as long as something runs. */
async function withRules(worlds: readonly World[], rules: readonly string[], run: () => Promise<void>): Promise<void> {
  const change = async (verb: '-I' | '-D'): Promise<void> => {
    for (const { iptables } of worlds) {
      for (const [index, family] of FAMILIES.entries()) {
        const lines = rules.flatMap((rule) => {
          const [, table = '', rest = ''] = /^(\S+) (.*)$/.exec(named(rule, family)) ?? []
          return [`*${table}`, `${verb} ${rest}`, 'COMMIT']
        })
        if (lines.length > 0) await iptables[index]?.restore({ lines, flush: false, counters: false })
      }
    }
  }
  await change('-I')
  try {
    await run()
  } finally {
    await change('-D')
  }
}

function named(rule: string, family: IpFamily): string {
  const farEnd = addressOf('far-c', family)
  return rule
    .replace('NEAR-B', addressOf('near-b', family))
    .replace('PODS', family === 'IPv4' ? '10.244.0.0/16' : 'fd00:10:244::/48')
    .replace('POD-A', INTERFACES['near-a'])
    .replace('-d WEB', `-d ${addressOf('web', family)}`)
    .replace('-d NOBODY', `-d ${addressOf('nobody', family)}`)
    .replace('FAR-C', family === 'IPv4' ? `${farEnd}:8080` : `[${farEnd}]:8080`)
}
