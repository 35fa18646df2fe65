import { createIptablesBackend } from '@pointsman/backend-iptables'
import { seq, type State } from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import fc from 'fast-check'
import type { Family, Variant } from 'node-iptables'
import { createFakeIptables } from 'node-iptables/fake'
import { describe, expect, test } from 'vitest'
import { enterKernelNamespace } from '../packages/backend-iptables/src/test-support/kernel.js'
import { describeIptables } from './support/describe-iptables.js'
import { differencesOf } from './support/goldens.js'
import { configArbitrary, EVERY_LAYOUT, optionsArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

const KINDS = (['nft', 'legacy'] as const).flatMap((variant) =>
  (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
)
const RUNS = process.env['POINTSMAN_SOAK'] === '1' ? 300 : 8

const SIGNAL = new AbortController().signal

/** Small restores and large ones, shared chains written anew or rule by rule. */
const LIMITS = fc.constantFrom(
  { maxLines: 1, rewriteAt: 100_000, deletionWeight: 1 },
  { maxLines: 20, rewriteAt: 2, deletionWeight: 1 },
  { maxLines: 100_000, rewriteAt: 100_000, deletionWeight: 1 },
  { maxLines: 100_000, rewriteAt: 0, deletionWeight: 1 },
)

describeIptables('small syncs in a kernel', () => {
  describe.each(KINDS)('$variant, $family', ({ variant, family }: { variant: Variant; family: Family }) => {
    test('leave what one whole sync leaves in tables that had nothing', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(stateArbitrary(), { minLength: 2, maxLength: 5 }),
          configArbitrary(EVERY_LAYOUT),
          optionsArbitrary(),
          LIMITS,
          async (states, config, given, limits) => {
            const options = { ...given, family, nfacct: false }
            const namespace = enterKernelNamespace()
            try {
              const iptables = await namespace.iptables({ family, variant })
              const backend = createIptablesBackend({ config, iptables: [iptables], ...options, limits })
              let last: State | undefined
              for (const state of states) {
                const changed = last === undefined ? 'all' : changedBetween(last, state)
                await backend.sync({ state, changed, fromSeq: seq(1), toSeq: state.seq }, SIGNAL)
                last = state

                const fake = createFakeIptables({ family, variant })
                const whole = createIptablesBackend({ config, iptables: [fake], ...options })
                await whole.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: state.seq }, SIGNAL)
                expect(await differencesOf(withoutGuard(fake.text()), withoutGuard(await iptables.save()))).toEqual([])
                expect(await backend.read()).toEqual(await whole.read())
              }
            } finally {
              namespace.remove()
            }
          },
        ),
        { numRuns: RUNS },
      )
    })
  })
})

/** What is in KUBE-FIREWALL stays: kubelet may have put it there. */
const withoutGuard = (save: string): string => save.replaceAll(/^-A KUBE-FIREWALL .*\n/gm, '')
