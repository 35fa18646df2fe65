import type { IpFamily } from '@pointsman/core'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { describeWithKernel } from '../../packages/backend-iptables/src/test-support/kernel.js'
import { FAMILIES } from './names.js'
import { createNetwork, type Network } from './network.js'
import { readPacket } from './packet.js'
import { createWorld, type World } from './world.js'

/** A suite for each variant of iptables, each in a network of its own that is built once; `also` names programs that it needs. */
export function describeWorld(name: string, suite: (world: World) => void, also: readonly string[] = []): void {
  const suites = (): void => {
    describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
      let network: Network | undefined
      let world: World | undefined
      beforeAll(async () => {
        network = await createNetwork()
        world = await createWorld(network, variant)
      })
      afterAll(() => network?.close())
      // The suite is described before its world is there.
      const current = (): World => {
        if (world === undefined) throw new Error('a world is for the tests of its suite')
        return world
      }
      suite({
        get network() {
          return current().network
        },
        get iptables() {
          return current().iptables
        },
        apply: (scenario) => current().apply(scenario),
        fatesOf: (packet) => current().fatesOf(packet),
        send: (packet, options) => current().send(packet, options),
      })
    })
  }
  describeWithKernel(name, suites, ['conntrack', ...also])
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
  world: World,
  expected: Fates,
  { families = FAMILIES }: { readonly families?: readonly IpFamily[] } = {},
): Promise<void> {
  const told = await Promise.all(
    families.flatMap((family) =>
      Object.keys(expected).map(async (text) => {
        const fates = await world.fatesOf({ ...readPacket(text), family })
        return { name: `${family} ${text}`, expected: expected[text], ...fates }
      }),
    ),
  )
  const table = (fateOf: (row: (typeof told)[number]) => string | undefined): object =>
    Object.fromEntries(told.map((row) => [row.name, fateOf(row)]))
  const wanted = table((row) => row.expected)
  expect({ seen: table(({ seen }) => seen), meant: table(({ meant }) => meant) }).toEqual({
    seen: wanted,
    meant: wanted,
  })
}
