import { describe, expect, it } from 'vitest'
import type { IpFamily } from '@pointsman/core'
import { planRuleset } from '../ruleset/service-rules.js'
import { CLASSIC_GOLDENS, differencesOf, GOLDENS, readClassicGolden, readGolden } from '../test-support/goldens.js'
import { renderSave } from './owned-rules.js'

const CASES = GOLDENS.flatMap((scenario) => (['IPv4', 'IPv6'] as const).map((family) => [scenario, family] as const))

function rendered(scenario: string, family: IpFamily, { nfacct }: { readonly nfacct: boolean }): string {
  const { state, config } = readGolden(scenario)
  return [...renderSave(planRuleset(state, config, { family, nfacct }))].map((line) => `${line}\n`).join('')
}

describe('the rules of a real kube-proxy 1.36', () => {
  it.each(CASES)('are equal in %s, %s', async (scenario, family) => {
    const text = rendered(scenario, family, { nfacct: false })
    expect(await differencesOf(readGolden(scenario).saved[family], text)).toEqual([])
  })

  it.each(CASES)('are the same lines, each to the byte, with nfacct counters: %s, %s', (scenario, family) => {
    const text = rendered(scenario, family, { nfacct: true })
    // kube-proxy writes its services in no order.
    const sorted = (save: string): readonly string[] => save.split('\n').toSorted()
    expect(sorted(text)).toEqual(sorted(readGolden(scenario).saved[family]))
  })
})

describe('the rules of a real kube-proxy 1.20', () => {
  it.each(CLASSIC_GOLDENS)('are equal in %s', async (scenario) => {
    const { state, config, saved } = readClassicGolden(scenario)
    const text = [...renderSave(planRuleset(state, config, { family: 'IPv4' }))].map((line) => `${line}\n`).join('')
    expect(await differencesOf(saved, text)).toEqual([])
  })
})
