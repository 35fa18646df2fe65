import type { Brand, ServicePortName } from '@pointsman/core'
import { type ChainKey, linesOf, type RenderedService, type RuleLines } from './rendered-service.js'

/**
 * A rendered service port as one string, in which two that say the same are equal: half the memory of what it says, and
 * what is kept of each for as long as the rules are in force.
 */
export type PackedService = Brand<string, 'PackedService'>

/** Of several service ports, by their names. */
export type PackedServices = ReadonlyMap<ServicePortName, PackedService>

export const packService = ({ chains, entries }: RenderedService): PackedService =>
  [entries, chains].map(packChains).join(PARTS) as PackedService

/** None, of a service port that is not there. */
export const chainsOf = (packed: PackedService | undefined): RenderedService['chains'] =>
  packed === undefined ? [] : unpackChains(chainsText(packed))

export const entriesOf = (packed: PackedService | undefined): RenderedService['entries'] =>
  packed === undefined ? [] : unpackChains(packed.slice(0, packed.indexOf(PARTS)))

/** Its rules in one chain that all service ports share. */
export const entryLines = (packed: PackedService | undefined, key: ChainKey): readonly string[] =>
  linesOf(entriesOf(packed).find(([other]) => other === key)?.[1])

export const haveSameChains = (one: PackedService, other: PackedService): boolean =>
  chainsText(one) === chainsText(other)

// No rule has a NUL in it, whoever made it: the kernel's strings end with one.
const CHAINS = '\0'
const PARTS = '\0\0'

const chainsText = (packed: PackedService): string => packed.slice(packed.indexOf(PARTS) + PARTS.length)

const packChains = (chains: RenderedService['chains']): string =>
  chains.map(([key, lines]) => (lines === '' ? key : `${key}\n${lines}`)).join(CHAINS)

const unpackChains = (text: string): RenderedService['chains'] =>
  text === '' ? [] : text.split(CHAINS).map(unpackChain)

function unpackChain(text: string): readonly [ChainKey, RuleLines] {
  const end = text.indexOf('\n')
  return end < 0 ? [text as ChainKey, ''] : [text.slice(0, end) as ChainKey, text.slice(end + 1)]
}
