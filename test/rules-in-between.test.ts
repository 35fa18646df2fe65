import { planRuleset, renderRestore, renderSave, type RestoreOnto, type Ruleset } from '@pointsman/backend-iptables'
import { isEqual, type State } from '@pointsman/core'
import fc from 'fast-check'
import { parseSave, type SavedTable } from 'node-iptables'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { expect, test } from 'vitest'
import { allowedBetween, ownersOf, packetsTo, walked } from './support/asked-packets.js'
import { changeArbitrary } from './support/change-arbitrary.js'
import { configArbitrary, optionsArbitrary } from './support/proxy-arbitraries.js'

/*
 * A restore takes effect table by table. Whatever changes, a packet that comes in between meets what was before or what is
 * to be, and never a Service that is in neither table; where nobody takes it before, or nobody will after, it may be
 * turned away in another way.
 */
test('between the tables of a restore, packets meet what was or what is to be', () => {
  fc.assert(
    fc.property(changeArbitrary(), configArbitrary(), optionsArbitrary(), ({ before, after }, config, options) => {
      const plan = (state: State): Ruleset => planRuleset(state, config, { ...options, nfacct: false })
      const packets = packetsTo(before, options.family).filter((packet) => ownersOf(packet, [before, after]).size <= 1)
      const moments = momentsBetween(plan(before), plan(after)).map((tables) =>
        packets.map((packet) => walked(packet, tables, before)),
      )
      for (const [index, packet] of packets.entries()) {
        const fates = moments.map((moment) => moment[index] ?? [])
        const allowed = allowedBetween(fates[0], fates.at(-1))
        expect({ packet, fates: fates.filter((fate) => !allowed.some((one) => isEqual(one, fate))) }).toEqual({
          packet,
          fates: [],
        })
      }
    }),
  )
})

/** What is in the kernel before a restore, after each of its tables, and in the end. */
function momentsBetween(before: Ruleset, after: Ruleset): readonly (readonly SavedTable[])[] {
  const fake = createFakeIptables({ family: before.family, variant: 'nft' })
  fake.change([...renderSave(before)].join('\n'))
  const moments = [parseSave(fake.text())]
  for (const table of tablesOf([...renderRestore(after, { chains: chainsOf(fake), missingJumps: [] })])) {
    fake.change(table)
    moments.push(parseSave(fake.text()))
  }
  return moments
}

function tablesOf(lines: readonly string[]): readonly string[] {
  const tables: string[] = []
  let open: string[] = []
  for (const line of lines) {
    open.push(line)
    if (line !== 'COMMIT') continue
    tables.push(open.join('\n'))
    open = []
  }
  return tables
}

const chainsOf = (fake: FakeIptables): RestoreOnto['chains'] =>
  Object.fromEntries(
    parseSave(fake.text()).map(({ table, chains }) => [
      table,
      new Set(chains.flatMap(({ chain, policy }) => (policy === undefined ? [chain] : []))),
    ]),
  )
