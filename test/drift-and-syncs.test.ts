import { createIptablesBackend } from '@pointsman/backend-iptables'
import { seq, type State } from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import fc from 'fast-check'
import type { Iptables } from 'node-iptables'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { expect, test } from 'vitest'
import { statesArbitrary } from './support/change-arbitrary.js'
import { differencesOf } from './support/goldens.js'
import { configArbitrary, EVERY_LAYOUT, optionsArbitrary } from './support/proxy-arbitraries.js'

/*
 * The tables are read while syncs go on. What a sync writes meanwhile is never taken for somebody else's doing, and what
 * somebody else did is put right, if not now, then when nothing is synced meanwhile.
 */

const SIGNAL = new AbortController().signal

test('while syncs go on, drift is what others did and nothing else', async () => {
  let synced = 0
  let mended = 0
  await fc.assert(
    fc.asyncProperty(
      statesArbitrary(),
      configArbitrary(EVERY_LAYOUT),
      optionsArbitrary(),
      fc.record({ table: fc.nat(1), lines: fc.nat(30), pick: fc.option(fc.nat(), { nil: undefined }) }),
      async (states, config, { family, ...options }, { pick, ...moment }) => {
        const fake = createFakeIptables({ family, variant: 'nft' })
        const subject = pausedIptables(fake)
        const backend = createIptablesBackend({ config, iptables: [subject.iptables], ...options, nfacct: false })
        const sync = async (to: State, from?: State): Promise<void> => {
          const changed = from === undefined ? 'all' : changedBetween(from, to)
          await backend.sync({ state: to, changed, fromSeq: seq(1), toSeq: to.seq }, SIGNAL)
        }
        const [first, ...later] = states
        if (first === undefined) return
        await sync(first)
        const stolen = pick === undefined ? undefined : ourRules(fake)[pick % Math.max(1, ourRules(fake).length)]
        if (stolen !== undefined) fake.change(`*${stolen.table}\n${stolen.rule.replace(/^-A/, '-D')}\nCOMMIT\n`)

        subject.pauseAt(moment, async () => {
          for (const [index, state] of later.entries()) {
            // A sync that takes out what somebody else has taken out is refused, and reads the tables.
            await sync(state, states[index])
            synced++
          }
        })
        const drifts = (await backend.repairDrift(SIGNAL)) ?? []
        mended += drifts.length
        if (stolen === undefined) expect(drifts).toEqual([])
        await backend.repairDrift(SIGNAL)
        expect(await backend.repairDrift(SIGNAL)).toEqual([])

        const other = createFakeIptables({ family, variant: 'nft' })
        const whole = createIptablesBackend({ config, iptables: [other], ...options, nfacct: false })
        const last = states.at(-1) ?? first
        await whole.sync({ state: last, changed: 'all', fromSeq: seq(1), toSeq: last.seq }, SIGNAL)
        expect(await differencesOf(withoutGuard(other.text()), withoutGuard(fake.text()))).toEqual([])
      },
    ),
  )
  const runs = fc.readConfigureGlobal().numRuns ?? 100
  expect([synced > runs / 2, mended > runs / 20]).toEqual([true, true])
})

const ourRules = (fake: FakeIptables): readonly { readonly table: string; readonly rule: string }[] =>
  ['nat', 'filter'].flatMap((table) =>
    fake
      .text(table)
      .split('\n')
      .filter((line) => /^-A KUBE-(?!FIREWALL)/.test(line))
      .map((rule) => ({ table, rule })),
  )

/** Something can be done at one moment of the next reading. */
function pausedIptables(fake: FakeIptables): {
  readonly iptables: Iptables
  readonly pauseAt: (moment: { readonly table: number; readonly lines: number }, work: () => Promise<void>) => void
} {
  let pending: { table: number; lines: number; work: () => Promise<void> } | undefined
  async function* paused(lines: AsyncIterable<string>): AsyncIterable<string> {
    const mine = pending !== undefined && pending.table-- === 0 ? pending : undefined
    if (mine !== undefined) pending = undefined
    let left = mine?.lines ?? -1
    for await (const line of lines) {
      if (left-- === 0) await mine?.work()
      yield line
    }
    if (left >= 0) await mine?.work()
  }
  return {
    iptables: { ...fake, saveLines: (question, options) => paused(fake.saveLines(question, options)) },
    pauseAt: (moment, work) => (pending = { ...moment, work }),
  }
}

/** What is in KUBE-FIREWALL stays: kubelet may have put it there. */
const withoutGuard = (save: string): string => save.replaceAll(/^-A KUBE-FIREWALL .*\n/gm, '')
