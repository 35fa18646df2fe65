import type { NftRuleset } from '../listing/model.js'

/** A listing that was read from text, without what the JSON of nft 1.0.6 lacks. */
export const asJsonHasIt = ({ tables }: NftRuleset): NftRuleset => ({
  tables: tables.map(({ comment: _, ...table }) => ({
    ...table,
    chains: table.chains.map(({ comment: _comment, ...chain }) => chain),
    sets: table.sets.map((set) => ({ ...set, flags: set.flags.filter((flag) => flag !== 'dynamic') })),
  })),
})
