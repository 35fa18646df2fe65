import { seq, type State, type SyncRequest } from '@pointsman/core'
import { createIptables, type Family, type Iptables, type Variant } from 'node-iptables'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { renderSave } from '../render/owned-rules.js'
import { NFACCT_COUNTERS } from '../ruleset/base-rules.js'
import { planRuleset } from '../ruleset/service-rules.js'
import { CLASSIC_GOLDENS, differencesOf, GOLDENS, readClassicGolden, readGolden } from '../test-support/goldens.js'
import {
  describeWithKernel,
  enterKernelNamespace,
  type EnteredNamespace,
  tablesInOrder,
} from '../test-support/kernel.js'
import { createIptablesBackend } from './iptables-backend.js'

const all = (state: State): SyncRequest => ({ state, changed: 'all', fromSeq: seq(1), toSeq: state.seq })

const signal = new AbortController().signal

describeWithKernel('the rules of kube-proxy in a kernel', () => {
  const kinds = (['nft', 'legacy'] as const).flatMap((variant) =>
    (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
  )

  describe.each(kinds)('$variant, $family', ({ variant, family }: { variant: Variant; family: Family }) => {
    let namespace: EnteredNamespace
    let iptables: Iptables

    beforeAll(async () => {
      iptables = await createIptables({ family, variant })
    })
    beforeEach(() => {
      namespace = enterKernelNamespace()
      for (const object of NFACCT_COUNTERS) namespace.run('nfacct', 'add', object)
    })
    afterEach(() => namespace.remove())

    const saved = async (): Promise<string> => tablesInOrder(await iptables.save())

    test.each(CLASSIC_GOLDENS)(
      '1.20, %s: what a sync leaves is the text of render, and equal to the recording',
      async (scenario) => {
        const { state, config, saved: recorded } = readClassicGolden(scenario)
        const backend = createIptablesBackend({ config, iptables: [iptables] })
        const result = await backend.sync(all(state), signal)
        const text = await saved()
        if (family === 'IPv4') expect(await differencesOf(recorded, text)).toEqual([])
        expect(text.split('\n').slice(0, -1)).toEqual([...renderSave(planRuleset(state, config, { family }))])
        expect(await backend.read()).toEqual({ rules: result.rules, digest: result.digest })
      },
    )

    test.each(GOLDENS)('%s: what a sync leaves is equal to the recording, and the text of render', async (scenario) => {
      const { state, config, saved: recorded } = readGolden(scenario)
      const backend = createIptablesBackend({ config, iptables: [iptables], nfacct: true })
      const result = await backend.sync(all(state), signal)
      const text = await saved()
      expect(await differencesOf(recorded[family], text)).toEqual([])
      expect(await backend.read()).toEqual({ rules: result.rules, digest: result.digest })

      const rendered = [...renderSave(planRuleset(state, config, { family, nfacct: true }))]
      expect(text.split('\n').slice(0, -1)).toEqual(rendered)

      await backend.sync(all(state), signal)
      expect(await saved()).toBe(text)

      await iptables.restore({ lines: rendered, flush: true, counters: false })
      expect(await saved()).toBe(text)
    })
  })
})
