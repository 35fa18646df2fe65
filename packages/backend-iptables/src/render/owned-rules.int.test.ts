import { displayName } from '@pointsman/core'
import { formatRule } from 'node-iptables'
import { expect, it } from 'vitest'
import { planRuleset } from '../ruleset/service-rules.js'
import { GOLDENS, readGolden } from '../test-support/goldens.js'
import { ownedRules, renderSave } from './owned-rules.js'

it.each(GOLDENS)('has the rules of the save, in its order: %s', (scenario) => {
  const { state, config } = readGolden(scenario)
  for (const family of ['IPv4', 'IPv6'] as const) {
    const ruleset = planRuleset(state, config, { family })
    const lines = [...ownedRules(ruleset)].map(({ chain, rule }) => `-A ${chain} ${formatRule(rule)}`)
    expect(lines).toEqual([...renderSave(ruleset)].filter((line) => line.startsWith('-A ')))
  }
})

it('says whose each rule is, and that the common ones are of no service', () => {
  const { state, config } = readGolden('node-port')
  const owned = [...ownedRules(planRuleset(state, config, { family: 'IPv4' }))]
  for (const { rule, owner } of owned) {
    const words = formatRule(rule).split(/[ "]+/)
    const named = [...state.services.values()].filter((port) => words.includes(displayName(port))).map(({ id }) => id)
    if (owner === undefined) expect(named).toEqual([])
    // A rule to or from an endpoint's address may have no name in it.
    else expect(named).toEqual(named.length === 0 ? [] : expect.arrayContaining([owner]))
  }
  expect(new Set(owned.map(({ owner }) => owner)).size).toBeGreaterThan(2)
})
