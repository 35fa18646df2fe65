import { describe, expect, it } from 'vitest'
import { GOLDEN_CASES, readGolden } from '../test-support/goldens.js'
import { planNftables } from './rule-plan.js'

/** The rules of a table as nft prints it for people, each with its chain. */
function rulesOf(text: string): readonly string[] {
  const chains = [...text.matchAll(/^\tchain (\S+) \{\n([^}]*(?:\{[^}]*\}[^}]*)*)^\t\}/gm)]
  return chains.flatMap(([, chain = '', body = '']) =>
    body
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !/^(?:type|comment) /.test(line))
      .map((line) => `${chain}: ${line}`),
  )
}

describe("the rules of a real kube-proxy's nftables table", () => {
  it.each(GOLDEN_CASES)('are spelt as nft prints them, in %s, %s', (scenario, family) => {
    const { state, config, text } = readGolden(scenario)
    const plan = planNftables({ state, config }, { family })
    const planned = [...plan.inOrder(plan.parts())].flatMap(({ object, chain, text: rule }) =>
      object.type === 'rule' ? [`${chain}: ${rule}`] : [],
    )
    expect(planned.toSorted()).toEqual(rulesOf(text[family]).toSorted())
  })
})
