import { describe, expect, it } from 'vitest'
import type { IpFamily } from '@pointsman/core'
import { planRuleset } from '../ruleset/service-rules.js'
import { differencesOf, GOLDENS, readGolden } from '../test-support/goldens.js'
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
