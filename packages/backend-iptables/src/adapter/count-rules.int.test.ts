import { seq } from '@pointsman/core'
import { parseSave } from 'node-iptables'
import { createFakeIptables } from 'node-iptables/fake'
import { expect, test } from 'vitest'
import { NFACCT_COUNTERS } from '../ruleset/base-rules.js'
import { GOLDENS, readGolden } from '../test-support/goldens.js'
import { countRules } from './ruleset-digest.js'
import { createIptablesBackend } from './iptables-backend.js'

test.each(GOLDENS)('%s: a sync counts as many rules as are counted in a save', async (scenario) => {
  const { state, config, saved } = readGolden(scenario)
  const fakeOf = () =>
    createFakeIptables({ family: 'IPv4', variant: 'nft', nfacctObjects: NFACCT_COUNTERS, keepTexts: false })
  const recorded = fakeOf()
  recorded.change(saved.IPv4)
  const { rules } = await createIptablesBackend({ config, iptables: [recorded] }).read()
  expect(countRules(parseSave(saved.IPv4))).toBe(rules)

  const synced = fakeOf()
  const backend = createIptablesBackend({ config, iptables: [synced], nfacct: true })
  const request = { state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
  const result = await backend.sync(request, new AbortController().signal)
  expect(countRules(parseSave(synced.text()))).toBe(result.rules)
})
