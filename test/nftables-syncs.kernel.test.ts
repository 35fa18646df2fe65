import { createNftablesBackend, openNft, planNftables } from '@pointsman/backend-nftables'
import { seq, type IpFamily, type ProxyConfig, type State } from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import fc from 'fast-check'
import { runProcess } from 'node-iptables'
import { expect, it } from 'vitest'
import {
  describeWithNft,
  differencesOf,
  enterKernelNamespace,
} from '../packages/backend-nftables/src/test-support/kernel.js'
import { configArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

const FAMILIES = ['IPv4', 'IPv6'] as const
const signal = new AbortController().signal

const asNftables = (config: ProxyConfig): ProxyConfig => ({ ...config, mode: 'nftables', layout: 'kube-proxy' })

/** Each state has ServiceCIDRs of its own. */
const states = fc.array(
  fc
    .tuple(stateArbitrary(), fc.subarray(['10.112.0.0/16', '10.96.0.0/12', 'fd00:10:96::/112']))
    .map(([state, serviceCidrs]): State => ({ ...state, serviceCidrs })),
  { minLength: 2, maxLength: 3 },
)

describeWithNft('syncs of the nftables table', () => {
  it('leave what the rendered text leaves, whatever was there before, and write nothing where all is as it should be', async () => {
    const nft = await openNft({ run: runProcess })
    await fc.assert(
      fc.asyncProperty(states, configArbitrary(), async (all, given) => {
        const config = asNftables(given)
        const namespace = enterKernelNamespace()
        const listed = (family: IpFamily): string =>
          namespace.run(['nft', '-s', '-j', 'list', 'table', family === 'IPv4' ? 'ip' : 'ip6', 'kube-proxy'])
        try {
          const backend = createNftablesBackend({ config, nft, families: FAMILIES })
          const [first] = all
          if (first === undefined) return
          await backend.sync({ state: first, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
          for (const [at, state] of all.entries()) {
            const before = all[at - 1] ?? first
            const changed = changedBetween(before, state)
            const { refused } = await backend.sync({ state, changed, fromSeq: seq(1), toSeq: seq(1) }, signal)
            expect(refused).toEqual([])
          }
          const last = all.at(-1) ?? first
          const left = FAMILIES.map(listed)
          const other = createNftablesBackend({ config, nft, families: FAMILIES })
          expect((await other.dryRun(last)).flatMap(({ lines }) => lines)).toEqual([])
          const again = await other.sync({ state: last, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
          expect(again.bytes).toBe(0)
          for (const [index, family] of FAMILIES.entries()) {
            const plan = planNftables({ state: last, config }, { family })
            namespace.run(['nft', '-f', '-'], [...plan.listing(plan.parts()), ''].join('\n'))
            expect(differencesOf(listed(family), left[index] ?? '')).toEqual([])
          }
          expect(await other.read()).toEqual({ rules: again.rules, digest: again.digest })
          expect(await other.repairDrift(signal)).toEqual([])
          await backend.cleanup()
          expect(await backend.read()).toMatchObject({ rules: 0 })
        } finally {
          namespace.remove()
        }
      }),
      { numRuns: RUNS },
    )
  })
})

/** Each of them starts some twenty processes. */
const RUNS = process.env['POINTSMAN_SOAK'] === '1' ? 200 : 6
