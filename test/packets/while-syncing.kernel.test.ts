import type { IpFamily } from '@pointsman/core'
import { expect, test } from 'vitest'
import type { ServiceDescription } from './cluster.js'
import { describeWorlds } from './describe-worlds.js'
import { fateSeen } from './fate.js'
import { FAMILIES } from './names.js'
import type { World } from './world.js'

interface Change {
  readonly what: string
  readonly from: ServiceDescription
  readonly to: ServiceDescription
  readonly packet: string
  /** What may become of it, before and after. */
  readonly fates: readonly [string, string]
}

const CHANGES: readonly Change[] = [
  {
    what: 'endpoints that come and go',
    from: { endpoints: [] },
    to: { endpoints: ['near-b'] },
    packet: 'tcp client -> web:80',
    fates: ['refused', 'near-b as the node'],
  },
  {
    what: 'endpoints that are replaced',
    from: { endpoints: ['near-a'] },
    to: { endpoints: ['far-c'] },
    packet: 'tcp client -> web:80',
    fates: ['near-a as the node', 'far-c as the node'],
  },
  {
    what: 'a node port that loses its endpoints and has them again',
    from: { nodePort: 30080, endpoints: [] },
    to: { nodePort: 30080, endpoints: ['near-b'] },
    packet: 'tcp client -> node:30080',
    fates: ['refused', 'near-b as the node'],
  },
  {
    what: 'source ranges that come and go',
    from: { nodePort: 30080, vips: ['vip'], endpoints: ['near-b'] },
    to: { nodePort: 30080, vips: ['vip'], sourceRanges: ['192.0.2.0/24', '2001:db8:c::/64'], endpoints: ['near-b'] },
    packet: 'tcp stranger -> vip:80',
    fates: ['near-b as the node', 'no answer'],
  },
]

describeWorlds('while rules are written', (worlds) => {
  test.each(CHANGES)('$what: packets have the fate before or the fate after', async ({ from, to, packet, fates }) => {
    // Another one that stays as it is.
    const other: ServiceDescription = { name: 'other', endpoints: ['near-a', 'far-d'] }
    await worlds.apply({ services: [from, other] })
    const found = await Promise.all(
      worlds.all.map(async (world) => {
        const traffic = FAMILIES.flatMap((family) => [
          startSending(world, packet, family),
          startSending(world, 'tcp client -> other:80', family),
        ])
        for (let round = 0; round < ROUNDS; round++) {
          await world.sync({ services: [to, other] })
          await world.sync({ services: [from, other] })
        }
        return Promise.all(traffic.map((sender) => sender.stop()))
      }),
    )
    const [changing = [], staying = []] = [0, 1].map((parity) => [
      ...new Set(found.flat().flatMap((seen, index) => (index % 2 === parity ? [...seen] : []))),
    ])
    // A packet that is dropped is sent again by TCP, and may be answered then.
    expect(changing.filter((fate) => !fates.includes(fate))).toEqual([])
    expect(staying.toSorted()).toEqual(['far-d as the node', 'near-a as the node'])
  })
})

describeWorlds('while the layout changes', (worlds) => {
  test('packets have the fate that both layouts give them, and clients keep their endpoint', async () => {
    const services: readonly ServiceDescription[] = [
      { nodePort: 30080, vips: ['vip'], affinitySeconds: 600, endpoints: ['near-a', 'near-b', 'far-c'] },
      {
        name: 'other',
        nodePort: 30081,
        externalTrafficPolicy: 'Local',
        vips: ['external'],
        endpoints: ['near-b', 'far-d'],
      },
    ]
    const isOf = (fate: string): boolean => /^(?:near-a|near-b|far-c) as the node$/.test(fate)
    await worlds.apply({ services })
    const found = await Promise.all(
      worlds.all.map(async (world) => {
        // One connection first: several that are dialled at once meet no list that has the client, and may go to several endpoints.
        for (const family of FAMILIES) await world.send('tcp client -> web:80', { family, times: 1, patienceMs: 5000 })
        const traffic = FAMILIES.flatMap((family) =>
          ['tcp client -> web:80', 'tcp client -> vip:80', 'tcp client -> node:30080', 'tcp client -> external:80'].map(
            (packet) => startSending(world, packet, family),
          ),
        )
        for (let round = 0; round < ROUNDS / 2; round++) {
          await world.sync({ services, config: { layout: 'classic' } })
          await world.sync({ services })
        }
        return Promise.all(traffic.map((sender) => sender.stop()))
      }),
    )
    for (const ofWorld of found) {
      const sticky = ofWorld.filter((_, at) => at % 4 !== 3).map((fates) => [...fates])
      const local = ofWorld.filter((_, at) => at % 4 === 3).map((fates) => [...fates])
      // One endpoint a client, by whichever address, in each family.
      for (const family of [sticky.slice(0, 3), sticky.slice(3)]) {
        const fates = [...new Set(family.flat())]
        expect(fates).toHaveLength(1)
        expect(fates.every(isOf)).toBe(true)
      }
      expect(local).toEqual([['near-b as sent'], ['near-b as sent']])
    }
  })
})

const ROUNDS = 8

/** Sends all the time, until it is told to stop; gives the fates that were seen. */
function startSending(
  world: World,
  packet: string,
  family: IpFamily,
): { readonly stop: () => Promise<ReadonlySet<string>> } {
  const stopping = new AbortController()
  const fates = new Set<string>()
  const sending = (async () => {
    while (!stopping.signal.aborted) {
      const outcomes = await world.send(packet, { family, times: 20, patienceMs: 5000 })
      for (const outcome of outcomes) fates.add(fateSeen([outcome], { family }))
    }
  })()
  return {
    stop: async () => {
      stopping.abort()
      await sending
      return fates
    },
  }
}
