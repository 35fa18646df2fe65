import { execFileSync } from 'node:child_process'
import { NFACCT_COUNTERS, planRuleset, renderRestore, renderSave, type Ruleset } from '@pointsman/backend-iptables'
import { buildState, DEFAULT_PROXY_CONFIG, type IpFamily, type ProxyConfig, type State } from '@pointsman/core'
import { describeKernel, stateOf } from '@pointsman/core/testing'
import fc from 'fast-check'
import { createIptables, type Family, type Iptables, parseSave, type Variant } from 'node-iptables'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  configArbitrary,
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
    const name = `pointsman-rules-${process.pid}-${variant}-${family}`
    const prefix = ['ip', 'netns', 'exec', name]
    let iptables: Iptables

    beforeEach(async () => {
      execFileSync('ip', ['netns', 'add', name])
      for (const object of NFACCT_COUNTERS) execFileSync('ip', [...prefix.slice(1), 'nfacct', 'add', object])
      iptables = await createIptables({ family, variant, prefix })
    })
    afterEach(() => {
      execFileSync('ip', ['netns', 'del', name])
    })

    const rulesets = fc
      .tuple(stateArbitrary(), configArbitrary(), optionsArbitrary())
      .map(([state, config, options]) => planRuleset(state, config, { ...options, family }))

    test('come back from a save to the byte, also where they replaced others', async () => {
      await fc.assert(
        fc.asyncProperty(rulesets, rulesets, async (before, after) => {
          await iptables.restore({ lines: renderSave(before), flush: true, counters: true })
          expect(await saved(iptables)).toEqual([...renderSave(before)])
          const chains = await chainsIn(iptables)
          await iptables.restore({
            lines: renderRestore(after, { chains, missingJumps: [] }),
            flush: false,
            counters: true,
          })
          expect(await saved(iptables)).toEqual(inPlaceOf(before, after))
        }),
        { numRuns: RUNS },
      )
    })

    test('of objects that no API server would serve are taken as well', async () => {
      const hostile = fc
        .tuple(hostileObjectsArbitrary(), configArbitrary(), optionsArbitrary())
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

    test('come into an empty namespace with the jumps to them', async () => {
      await fc.assert(
        fc.asyncProperty(rulesets, async (ruleset) => {
          for (const table of TABLES)
            await iptables.restore({ text: `*${table}\nCOMMIT\n`, flush: true, counters: false })
          const lines = renderRestore(ruleset, { chains: {}, missingJumps: ruleset.base.jumps })
          await iptables.restore({ lines, flush: false, counters: true })
          expect(await saved(iptables)).toEqual([...renderSave(ruleset)])
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

const TABLES = ['mangle', 'filter', 'nat']

/** Without comments, the tables in the order of a rendered save. */
async function saved(iptables: Iptables): Promise<readonly string[]> {
  const lines: string[] = []
  for (const table of TABLES) {
    const text = await iptables.save({ table })
    lines.push(...text.split('\n').filter((line) => line !== '' && !line.startsWith('#')))
  }
  return lines
}

async function chainsIn(iptables: Iptables): Promise<Record<string, ReadonlySet<string>>> {
  const tables = parseSave((await saved(iptables)).join('\n'))
  return Object.fromEntries(
    tables.map(({ table, chains }) => [
      table,
      new Set(chains.flatMap(({ chain, policy }) => (policy === undefined ? [chain] : []))),
    ]),
  )
}

/** What is in KUBE-FIREWALL is kubelet's where a ruleset has nothing for it. */
function inPlaceOf(before: Ruleset, after: Ruleset): readonly string[] {
  const guards = [...renderSave(before)].filter((line) => line.startsWith('-A KUBE-FIREWALL '))
  const lines = [...renderSave(after)]
  if (guards.length === 0 || lines.includes(guards[0] ?? '')) return lines
  const first = lines.findIndex((line) => line.startsWith('-A KUBE-FORWARD '))
  return lines.toSpliced(first, 0, ...guards)
}
