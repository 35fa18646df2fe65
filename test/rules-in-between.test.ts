import { planRuleset, renderRestore, renderSave, type RestoreOnto, type Ruleset } from '@pointsman/backend-iptables'
import { isEqual, type State } from '@pointsman/core'
import { endpointsOf } from '@pointsman/core/testing'
import fc from 'fast-check'
import { parseSave, type SavedTable } from 'node-iptables'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { expect, test } from 'vitest'
import { allowedBetween, ownersOf, packetsTo, walked } from './support/asked-packets.js'
import { configArbitrary, optionsArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

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

/** Two states on one node: something happened to each service, or everything is another. */
const changeArbitrary = (): fc.Arbitrary<{ readonly before: State; readonly after: State }> =>
  fc.tuple(stateArbitrary(), fc.oneof(changesArbitrary, stateArbitrary())).map(([before, change]) => ({
    before,
    after: 'services' in change ? onNodeOf(before, change) : changed(before, change),
  }))

const CHANGES = [
  'none',
  'gains endpoints',
  'loses endpoints',
  'loses endpoints here',
  'ranges',
  'no ranges',
  'gone',
] as const
type Change = (typeof CHANGES)[number]
const changesArbitrary: fc.Arbitrary<readonly Change[]> = fc.array(fc.constantFrom(...CHANGES), {
  minLength: 5,
  maxLength: 9,
})

const onNodeOf = ({ node }: State, { node: _, ...rest }: State): State => ({ ...rest, ...(node && { node }) })

function changed(state: State, changes: readonly Change[]): State {
  const services = new Map(state.services)
  const endpoints = new Map(state.endpoints)
  for (const [index, port] of [...state.services.values()].entries()) {
    const list = endpoints.get(port.id) ?? []
    switch (changes[index % changes.length] ?? 'none') {
      case 'gains endpoints':
        endpoints.set(
          port.id,
          endpointsOf([port.family === 'IPv4' ? '10.244.1.9:80@node-a' : '[fd00:10:244:1::9]:80@node-a']),
        )
        break
      case 'loses endpoints':
        endpoints.delete(port.id)
        break
      case 'loses endpoints here':
        endpoints.set(
          port.id,
          list.map((endpoint) => ({ ...endpoint, nodeName: 'node-b' })),
        )
        break
      case 'ranges':
        services.set(port.id, {
          ...port,
          loadBalancerSourceRanges: [port.family === 'IPv4' ? '10.0.0.0/8' : 'fd00::/8'],
        })
        break
      case 'no ranges':
        services.set(port.id, { ...port, loadBalancerSourceRanges: [] })
        break
      case 'gone':
        services.delete(port.id)
        break
      case 'none':
    }
  }
  return { ...state, services, endpoints }
}

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
