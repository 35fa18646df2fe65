import { seq, type State, type SyncRequest } from '@pointsman/core'
import type { Iptables } from 'node-iptables'
import { expect, test } from 'vitest'
import { renderSave } from '../../render/owned-rules.js'
import { planRuleset } from '../../ruleset/service-rules.js'
import { CLASSIC_GOLDENS, differencesOf, readClassicGolden } from '../../test-support/goldens.js'
import { createIptablesBackend } from '../iptables-backend.js'
import type { ForeignReference } from '../read-found.js'

/** Tables of IPv4 that are empty at first. */
export interface EmptyTables {
  readonly iptables: Iptables
  /** Restores sent since the last time that this was asked. */
  readonly end: () => void
}

const all = (state: State): SyncRequest => ({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) })
const { signal } = new AbortController()

/** What a kubelet before 1.28 makes: the chain that marks is in the saves of kube-proxy 1.20. */
const OLD_KUBELET = `*filter
:KUBE-FIREWALL - [0:0]
-I INPUT -j KUBE-FIREWALL
-I OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
`

/** What becomes of the rules of layout `classic`: on the fake and in kernels the same. */
export function describeClassicLeftovers(create: () => Promise<EmptyTables>): void {
  /** The tables with the rules of a scenario and of others in them. */
  async function withRules(
    scenario: string,
    others = '',
  ): Promise<EmptyTables & { readonly saved: () => Promise<string> }> {
    const tables = await create()
    const { saved } = readClassicGolden(scenario, 'current')
    const restore = (text: string): Promise<void> => tables.iptables.restore({ text, flush: false, counters: false })
    await restore(saved)
    if (others !== '') await restore(others)
    const text = async (): Promise<string> => {
      const texts = []
      for (const table of ['mangle', 'filter', 'nat']) texts.push(await tables.iptables.save({ table }))
      return texts
        .join('')
        .replaceAll(/^#.*\n/gm, '')
        .replaceAll(/\[\d+:\d+\]/g, '[0:0]')
    }
    return { ...tables, saved: text }
  }

  test.each(CLASSIC_GOLDENS)(
    '%s: a sync to layout classic makes the rules of kube-proxy 1.20, and back those of current',
    async (scenario) => {
      const { config, state, saved: recorded } = readClassicGolden(scenario)
      const { iptables, saved, end } = await withRules(scenario)
      const backendOf = (layout: 'current' | 'classic') =>
        createIptablesBackend({ config: { ...config, layout }, iptables: [iptables] })
      const readings: Record<'current' | 'classic', string[]> = { current: [], classic: [] }
      for (const layout of ['classic', 'current', 'classic', 'current'] as const) {
        await backendOf(layout).sync(all(state), signal)
        readings[layout].push(await saved())
        expect(await backendOf(layout).sync(all(state), signal)).toMatchObject({ bytes: 0 })
      }
      const fresh = (layout: 'current' | 'classic'): string =>
        [...renderSave(planRuleset(state, { ...config, layout }, { family: 'IPv4' }))].join('\n')
      const rendered = (layout: 'current' | 'classic'): readonly string[] => kube(fresh(layout)).toSorted()
      expect(await differencesOf(recorded, readings.classic[0] ?? '')).toEqual([])
      for (const layout of ['current', 'classic'] as const)
        for (const reading of readings[layout]) {
          expect(kube(reading).toSorted()).toEqual(rendered(layout))
          // In the chains of the kernel in the same order as after a start on an empty node.
          expect(jumpsIn(reading)).toEqual(jumpsIn(fresh(layout)))
        }
      await backendOf('classic').sync(all(state), signal)
      await backendOf('classic').cleanup()
      expect(kube(await saved()).filter((line) => !line.includes('KUBE-FIREWALL'))).toEqual([])
      expect(await saved()).not.toContain('0x8000')
      end()
    },
  )

  test('a kubelet that drops what KUBE-MARK-DROP marks is left alone by layout classic, and no rule is made twice', async () => {
    const { config, state } = readClassicGolden('external-traffic-policy-local')
    const { iptables, saved, end } = await withRules('external-traffic-policy-local', OLD_KUBELET)
    const backend = createIptablesBackend({ config, iptables: [iptables] })
    await backend.sync(all(state), signal)
    expect((await saved()).match(/^.*0x8000\/0x8000.*$/gm)).toEqual([
      '-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP',
      '-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000',
    ])
    end()
  })

  const kube = (text: string): readonly string[] => text.match(/^.*KUBE-.*$/gm) ?? []
  const jumpsIn = (text: string): readonly string[] => text.match(/^(?:\*|-A (?!KUBE-)).*$/gm) ?? []

  test.each(CLASSIC_GOLDENS)(
    '%s: the first sync leaves the rules of layout current, and nothing else',
    async (scenario) => {
      const { config, state } = readClassicGolden(scenario, 'current')
      const { iptables, saved, end } = await withRules(scenario)
      const backend = createIptablesBackend({ config, iptables: [iptables] })
      await backend.sync(all(state), signal)
      const rendered = [...renderSave(planRuleset(state, config, { family: 'IPv4' }))].join('\n')
      expect(await differencesOf(`${rendered}\n`, await saved())).toEqual([])
      expect(kube(await saved()).toSorted()).toEqual(kube(rendered).toSorted())
      const again = createIptablesBackend({ config, iptables: [iptables] })
      expect(await again.sync(all(state), signal)).toMatchObject({ bytes: 0 })
      end()
    },
  )

  test.each(CLASSIC_GOLDENS)('%s: a cleanup leaves nothing', async (scenario) => {
    const { config } = readClassicGolden(scenario, 'current')
    const { iptables, saved, end } = await withRules(scenario)
    await createIptablesBackend({ config, iptables: [iptables] }).cleanup()
    expect(kube(await saved())).toEqual([])
    end()
  })

  test('KUBE-MARK-DROP stays for a kubelet that drops what it marks, through a sync and a cleanup', async () => {
    const { config, state } = readClassicGolden('external-traffic-policy-local', 'current')
    const { iptables, saved, end } = await withRules('external-traffic-policy-local', OLD_KUBELET)
    const backend = createIptablesBackend({ config, iptables: [iptables] })
    await backend.sync(all(state), signal)
    const marking = [':KUBE-MARK-DROP - [0:0]', '-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000']
    const markDrop = async (): Promise<readonly string[]> =>
      kube(await saved()).filter((line) => line.includes('KUBE-MARK-DROP'))
    expect(await markDrop()).toEqual(marking)
    const [plan] = await backend.planCleanup()
    expect(plan?.left).toEqual([
      { table: 'filter', chain: 'KUBE-FIREWALL', becauseOf: [] },
      { table: 'nat', chain: 'KUBE-MARK-DROP', becauseOf: [] },
    ])
    await backend.cleanup()
    expect(await markDrop()).toEqual(marking)
    expect(kube(await saved()).filter((line) => line.includes('KUBE-X') || line.includes('KUBE-S'))).toEqual([])
    end()
  })

  test('chains that rules of others lead to are emptied, kept and told', async () => {
    const { config, state } = readClassicGolden('external-traffic-policy-local', 'current')
    const chain = 'KUBE-XLB-3ENVKKDUT2EZ6WIE'
    const rules = [`-A PREROUTING -s 192.0.2.1/32 -j ${chain}`, '-A PREROUTING -s 192.0.2.2/32 -j KUBE-MARK-DROP']
    const { iptables, saved, end } = await withRules(
      'external-traffic-policy-local',
      ['*nat', ...rules, 'COMMIT', ''].join('\n'),
    )
    const left: ForeignReference[] = []
    const backend = createIptablesBackend({ config, iptables: [iptables], onLeft: (those) => left.push(...those) })
    await backend.sync(all(state), signal)
    const kept = async (): Promise<readonly string[]> =>
      kube(await saved())
        .filter((line) => line.includes('KUBE-XLB-') || line.includes('KUBE-MARK-DROP'))
        .toSorted()
    const expected = [...rules, ':KUBE-MARK-DROP - [0:0]', `:${chain} - [0:0]`].toSorted()
    expect(await kept()).toEqual(expected)
    expect(left.map((one) => one.chain)).toEqual([chain, 'KUBE-MARK-DROP'])
    await backend.cleanup()
    expect(await kept()).toEqual(expected)
    end()
  })

  test('a jump that stands twice, and one that only older kube-proxies put in, are gone after a sync', async () => {
    const { config, state } = readClassicGolden('node-port', 'current')
    const twice = '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals"'
    const old = '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    const rules = [`-I INPUT ${old}`, '-A INPUT -p tcp -j ACCEPT', `-A INPUT ${twice} -j KUBE-EXTERNAL-SERVICES`]
    const { iptables, saved, end } = await withRules('node-port', ['*filter', ...rules, 'COMMIT', ''].join('\n'))
    await createIptablesBackend({ config, iptables: [iptables] }).sync(all(state), signal)
    expect((await saved()).match(/^-A INPUT .*/gm)?.map((rule) => rule.replace(/.* -j /, ''))).toEqual([
      'KUBE-FIREWALL',
      'KUBE-PROXY-FIREWALL',
      'KUBE-NODEPORTS',
      'KUBE-EXTERNAL-SERVICES',
      'ACCEPT',
    ])
    end()
  })
}
