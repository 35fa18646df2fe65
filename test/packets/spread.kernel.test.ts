import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { describeWorlds, type Worlds } from './describe-worlds.js'
import { crowdOf, FAMILIES } from './names.js'
import { readPacket } from './packet.js'
import type { World } from './world.js'

describeWorlds('connections', (worlds) => {
  test.each(['tcp client -> web:80', 'tcp client -> node:30080', 'udp client -> other:80'])(
    '%s: spread over the endpoints with equal odds',
    async (packet) => {
      await worlds.apply({
        services: [
          { nodePort: 30080, endpoints: ['near-a', 'near-b', 'far-c', 'far-d'] },
          { name: 'other', protocol: 'UDP', endpoints: ['near-a', 'near-b', 'far-c'] },
        ],
      })
      await everywhere(worlds, async (world, family) => {
        const outcomes = await world.send(packet, { family, times: CONNECTIONS })
        const { endpoints } = world.routeOf({ ...readPacket(packet), family })
        const found = endpoints.map(({ address, odds }) => {
          const reached = outcomes.filter((outcome) => outcome.type === 'answer' && outcome.at === address).length
          // Five standard deviations: one in two million falls outside by chance.
          const tolerance = 5 * Math.sqrt(CONNECTIONS * odds * (1 - odds))
          return { address, reached, asExpected: Math.abs(reached - CONNECTIONS * odds) <= tolerance }
        })
        expect(found.filter(({ asExpected }) => !asExpected)).toEqual([])
        expect(found.reduce((sum, { reached }) => sum + reached, 0)).toBe(CONNECTIONS)
      })
    },
  )

  test('of one client stay with one endpoint while it is remembered, also when another one comes, and not after that', async () => {
    const web = { affinitySeconds: 4, endpoints: ['near-a', 'near-b'] } as const
    const other = { name: 'other', affinitySeconds: 10_800, endpoints: ['near-a', 'near-b'] } as const
    await worlds.apply({ services: [web, other] })
    const first = await everywhere(worlds, async (world, family) => ({
      web: await podsOfCrowd(world, { family, to: 'web' }),
      other: await podsOfCrowd(world, { family, to: 'other' }),
    }))
    for (const { web, other } of first) {
      // Each client has its own.
      expect(new Set(web).size).toBe(2)
      expect(new Set(other).size).toBe(2)
    }
    const soon = await everywhere(worlds, (world, family) => podsOfCrowd(world, { family, to: 'web' }))
    expect(soon).toEqual(first.map(({ web }) => web))

    await worlds.apply({ services: [web, { ...other, endpoints: [...other.endpoints, 'far-c'] }] })
    await setTimeout(4_500)
    const late = await everywhere(worlds, async (world, family) => ({
      web: await podsOfCrowd(world, { family, to: 'web' }),
      other: await podsOfCrowd(world, { family, to: 'other' }),
    }))
    expect(late.map(({ other }) => other)).toEqual(first.map(({ other }) => other))
    for (const [index, { web }] of late.entries()) expect(web).not.toEqual(first[index]?.web)
  })
})

const CONNECTIONS = 300

const everywhere = <T>(
  { all }: Worlds,
  task: (world: World, family: (typeof FAMILIES)[number]) => Promise<T>,
): Promise<readonly T[]> => Promise.all(all.flatMap((world) => FAMILIES.map((family) => task(world, family))))

/** The pod that each of many clients reaches. */
const podsOfCrowd = (
  world: World,
  { family, to }: { readonly family: (typeof FAMILIES)[number]; readonly to: 'web' | 'other' },
): Promise<readonly string[]> =>
  Promise.all(
    crowdOf(family).map(async (from) => {
      const [outcome] = await world.send(`tcp client -> ${to}:80`, { family, from })
      return outcome?.type === 'answer' ? outcome.host : (outcome?.type ?? 'nothing')
    }),
  )
