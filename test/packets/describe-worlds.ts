import type { IpFamily } from '@pointsman/core'
import { afterAll, beforeAll, expect } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { FAMILIES } from './names.js'
import { createNetwork, type Network } from './network.js'
import { readPacket } from './packet.js'
import { createWorld, type RulesOf, type Scenario, type World } from './world.js'

/** A world for each variant of iptables, or for mode nftables, each in a network of its own. */
export interface Worlds {
  /** Readable once the tests run. */
  readonly all: readonly World[]
  readonly apply: (scenario: Scenario) => Promise<void>
}

/** A suite that runs in all worlds at the same time, which are built once; `also` names programs that it needs. */
export function describeWorlds(
  name: string,
  suite: (worlds: Worlds) => void,
  also: readonly string[] = [],
  kinds: readonly RulesOf[] = ['nft', 'legacy'],
): void {
  const inWorlds = (): void => {
    const networks: Network[] = []
    const all: World[] = []
    beforeAll(async () => {
      for (const variant of kinds) {
        const network = await createNetwork()
        networks.push(network)
        all.push(await createWorld(network, variant))
      }
    })
    afterAll(async () => {
      await Promise.all(networks.map((network) => network.close()))
    })
    suite({
      all,
      apply: async (scenario) => {
        await Promise.all(all.map((world) => world.apply(scenario)))
      },
    })
  }
  describeWithKernel(name, inWorlds, ['conntrack', ...also])
}

/** `tcp client -> web:80` to `near-a far-c as the node`; fate.ts has the words. */
export interface Fates {
  readonly [packet: string]: string
}

/**
 * Sends packets, all at the same time, and expects what becomes of each. What the meaning of the Services says has to be
 * the same. Default: in both families.
 */
export async function expectFates(
  { all }: Pick<Worlds, 'all'>,
  expected: Fates,
  { families = FAMILIES }: { readonly families?: readonly IpFamily[] } = {},
): Promise<void> {
  const asked = all.flatMap((world) =>
    families.flatMap((family) => Object.entries(expected).map(([text, fate]) => ({ world, family, text, fate }))),
  )
  const told = await Promise.all(
    asked.map(async ({ world, family, text, fate }) => ({
      name: `${world.variant} ${family} ${text}`,
      fate,
      ...(await world.fatesOf({ ...readPacket(text), family })),
    })),
  )
  const table = (fateOf: (row: (typeof told)[number]) => string): object =>
    Object.fromEntries(told.map((row) => [row.name, fateOf(row)]))
  const wanted = table(({ fate }) => fate)
  expect({ seen: table(({ seen }) => seen), meant: table(({ meant }) => meant) }).toEqual({
    seen: wanted,
    meant: wanted,
  })
}
