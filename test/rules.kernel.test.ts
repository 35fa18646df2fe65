import { createIptablesBackend, NFACCT_COUNTERS, planRuleset, renderSave } from '@pointsman/backend-iptables'
import { buildState, DEFAULT_PROXY_CONFIG, type IpFamily, type ProxyConfig, seq, type State } from '@pointsman/core'
import { stateOf } from '@pointsman/core/testing'
import fc from 'fast-check'
import type { Family, Iptables, Variant } from 'node-iptables'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  enterKernelNamespace,
  type EnteredNamespace,
  tablesInOrder,
} from '../packages/backend-iptables/src/test-support/kernel.js'
import { describeIptables } from './support/describe-iptables.js'
import {
  configArbitrary,
  EVERY_LAYOUT,
  hostileObjectsArbitrary,
  optionsArbitrary,
  stateArbitrary,
} from './support/proxy-arbitraries.js'

const KINDS = (['nft', 'legacy'] as const).flatMap((variant) =>
  (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
)
const RUNS = process.env['POINTSMAN_SOAK'] === '1' ? 500 : 15

describeIptables('rules in a kernel', () => {
  describe.each(KINDS)('$variant, $family', ({ variant, family }: { variant: Variant; family: Family }) => {
    let namespace: EnteredNamespace
    let iptables: Iptables

    beforeEach(async () => {
      namespace = enterKernelNamespace()
      for (const object of NFACCT_COUNTERS) namespace.run('nfacct', 'add', object)
      iptables = await namespace.iptables({ family, variant })
    })
    afterEach(() => namespace.remove())

    const worlds = fc.tuple(stateArbitrary(), configArbitrary(EVERY_LAYOUT), optionsArbitrary())

    test('come back from a save to the byte', async () => {
      await fc.assert(
        fc.asyncProperty(worlds, async ([state, config, options]) => {
          const ruleset = planRuleset(state, config, { ...options, family })
          await iptables.restore({ lines: renderSave(ruleset), flush: true, counters: true })
          expect(await saved(iptables)).toEqual([...renderSave(ruleset)])
        }),
        { numRuns: RUNS },
      )
    })

    test('of objects that no API server would serve are taken as well', async () => {
      const hostile = fc
        .tuple(hostileObjectsArbitrary(), configArbitrary(EVERY_LAYOUT), optionsArbitrary())
        .map(([objects, config, options]) =>
          planRuleset(buildState({ objects, nodeName: 'node-a' }).state, config, { ...options, family }),
        )
      await fc.assert(
        fc.asyncProperty(hostile, async (ruleset) => {
          await iptables.restore({ lines: renderSave(ruleset), flush: true, counters: true })
          expect(await saved(iptables)).toEqual([...renderSave(ruleset)])
        }),
        { numRuns: RUNS },
      )
    })

    test('to addresses that no cluster has are taken as well', async () => {
      const config: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, nodePortAddresses: ['0.0.0.0/1', '::/1'] }
      const ruleset = planRuleset(stateOfOddities(family), config, { family })
      await iptables.restore({ lines: renderSave(ruleset), flush: true, counters: true })
      expect(await saved(iptables)).toEqual([...renderSave(ruleset)])
    })

    test('come into empty tables with the jumps to them', async () => {
      await fc.assert(
        fc.asyncProperty(worlds, async ([state, config, given]) => {
          await iptables.restore({ text: EMPTY, flush: true, counters: false })
          const options = { ...given, randomFully: true }
          const backend = createIptablesBackend({ ...options, config, iptables: [iptables] })
          const request = { state, changed: 'all', fromSeq: seq(1), toSeq: state.seq } as const
          await backend.sync(request, new AbortController().signal)
          expect(await saved(iptables)).toEqual([...renderSave(planRuleset(state, config, { ...options, family }))])
        }),
        { numRuns: RUNS },
      )
    })
  })
})

/** Each address in every place of a service of its own: unspecified ones, loopback, multicast, and odd spellings. */
const ODDITIES: { readonly [family in IpFamily]: readonly string[] } = {
  IPv4: ['0.0.0.0', '0.0.0.1', '127.0.0.1', '169.254.1.1', '224.0.0.1', '255.255.255.255'],
  IPv6: ['::', '::1', '::2', '::a00:1', 'fe80::1', 'ff02::1', 'fd00::', '1:0:0:2::', '2001:db8:0:1:1:1:1:1'],
}

const stateOfOddities = (family: IpFamily): State =>
  stateOf({
    ports: ODDITIES[family].map((address, index) => ({
      is: `odd/n${index}`,
      clusterIP: address,
      nodePort: 30_000 + index,
      externalIPs: [address],
      loadBalancerVIPs: [address],
      loadBalancerSourceRanges: [`${address}/${family === 'IPv4' ? 32 : 128}`],
      externalTrafficPolicy: 'Local',
      affinitySeconds: 10,
      endpoints: [family === 'IPv4' ? `${address}:80@node-a` : `[${address}]:80@node-a`],
    })),
    node: { addresses: ODDITIES[family] },
  })

const EMPTY = '*mangle\nCOMMIT\n*filter\nCOMMIT\n*nat\nCOMMIT\n'

/** Without comments, the tables in the order of a rendered save. */
const saved = async (iptables: Iptables): Promise<readonly string[]> =>
  tablesInOrder(await iptables.save())
    .split('\n')
    .filter((line) => line !== '')
