import { expect, it } from 'vitest'
import { chooseVariant, evidenceIn } from './detect-variant.js'
import type { VariantEvidence } from './detect-variant.js'

const hints = { chains: ['NODE-HINT', 'NODE-CANARY'], prefix: 'NODE-' }

async function* lines(text: string): AsyncGenerator<string> {
  yield* text.split('\n')
}
const save = (text: string): Promise<VariantEvidence> => evidenceIn(lines(text), hints)

const hinted = '*mangle\n:NODE-HINT - [0:0]\nCOMMIT'
const elsewhere = '*nat\n:NODE-HINT - [0:0]\nCOMMIT'
const rules = '*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j ACCEPT\n-A OUTPUT -j ACCEPT\nCOMMIT'

it.each([
  ['', '', 'nft, more rules'],
  [rules, '', 'nft, more rules'],
  ['', rules, 'legacy, more rules'],
  [rules, hinted, 'legacy, hint chain'],
  [hinted, rules, 'nft, hint chain'],
  ['', elsewhere, 'nft, more rules'],
  [undefined, rules, 'legacy, the only one installed'],
  [hinted, undefined, 'nft, the only one installed'],
  [undefined, undefined, undefined],
])('with nft %j and legacy %j the choice is %s', async (nft, legacy, expected) => {
  const choice = chooseVariant(
    {
      nft: nft === undefined ? undefined : await save(nft),
      legacy: legacy === undefined ? undefined : await save(legacy),
    },
    hints,
  )
  expect(choice && `${choice.variant}, ${choice.because}`).toBe(expected)
  expect(choice?.warning).toBeUndefined()
})

it('warns when both variants have chains of one owner', async () => {
  const choice = chooseVariant({ nft: await save(hinted), legacy: await save(elsewhere) }, hints)
  expect(choice?.warning).toContain('NODE-* exist in both')
})
