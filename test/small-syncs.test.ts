import { createIptablesBackend, type IptablesBackend, planRuleset, renderSave } from '@pointsman/backend-iptables'
import { displayName, isEqual, parseServicePortName, seq, type ServicePortName, type State } from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import fc from 'fast-check'
import { parseSave, type SavedTable, type Variant } from 'node-iptables'
import { createFakeIptables, type FakeIptables, type Fault } from 'node-iptables/fake'
import { expect, test } from 'vitest'
import { refusing } from '../packages/backend-iptables/src/test-support/refusing.js'
import { allowedBetween, ownersOf, packetsTo, walked } from './support/asked-packets.js'
import { changeArbitrary, statesArbitrary } from './support/change-arbitrary.js'
import { differencesOf } from './support/goldens.js'
import { configArbitrary, EVERY_LAYOUT, optionsArbitrary } from './support/proxy-arbitraries.js'

/*
 * A sync sends what changed and no more. Whatever came before it, and wherever restores failed, what is in force in the end
 * is what one sync of the last state leaves in tables that had nothing; and no moment in between leaves a packet alone.
 */

/** A few lines a restore, and a shared chain written anew after a few changes: each way is taken. */
const LIMITS = fc.record({
  maxLines: fc.constantFrom(1, 20, 100_000),
  rewriteAt: fc.constantFrom(0, 3, 100_000),
  deletionWeight: fc.constantFrom(1, 5),
})

const FAULT = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  {
    weight: 2,
    arbitrary: fc.record({
      failure: fc.constantFrom<Fault['failure']>('LOCK_HELD', 'REFUSED', 'TIMED_OUT', 'KILLED'),
      program: fc.constant<Fault['program']>('restore'),
      applied: fc.constantFrom<Fault['applied']>(0, 1, 2, 'all'),
    }),
  },
)

interface Step {
  readonly state: State
  readonly fault: Fault | undefined
}

const STEPS: fc.Arbitrary<readonly Step[]> = fc
  .tuple(statesArbitrary(), fc.array(FAULT, { minLength: 5, maxLength: 5 }))
  .map(([states, faults]) => states.map((state, index) => ({ state, fault: faults[index] })))

const VARIANT = fc.constantFrom<Variant>('nft', 'legacy')

test('small syncs with failures leave what one whole sync leaves', async () => {
  await fc.assert(
    fc.asyncProperty(
      STEPS,
      configArbitrary(EVERY_LAYOUT),
      optionsArbitrary(),
      LIMITS,
      VARIANT,
      async (steps, config, { family, ...options }, limits, variant) => {
        const subject = subjectOf({ family, variant })
        const backend = createIptablesBackend({ config, iptables: [subject], ...options, nfacct: false, limits })
        let last: State | undefined
        for (const { state, fault } of steps) {
          if (fault !== undefined) subject.failNext(fault)
          last = (await synced(backend, { from: last, to: state })) ? state : last
        }
        const final = steps.at(-1)?.state
        if (final === undefined) return
        // Faults that no call has met yet strike now: they end some day.
        for (let tries = 0; last !== final && tries < 10; tries++) {
          last = (await synced(backend, { from: last, to: final })) ? final : last
        }
        expect(last).toBe(final)

        const other = subjectOf({ family, variant })
        const whole = createIptablesBackend({ config, iptables: [other], ...options, nfacct: false })
        await synced(whole, { from: undefined, to: final })
        expect(await differencesOf(withoutGuard(other.text()), withoutGuard(subject.text()))).toEqual([])
        // The backend finds out by itself what its iptables knows.
        const ruleset = planRuleset(final, config, { ...options, family, nfacct: false, randomFully: true })
        const planned = [...renderSave(ruleset)].join('\n')
        expect(await differencesOf(withoutGuard(planned), withoutGuard(subject.text()))).toEqual([])
        expect(await backend.read()).toEqual(await whole.read())
        const again = await backend.sync({ ...requestFor(final), changed: new Set(final.services.keys()) }, SIGNAL)
        expect(again).toMatchObject({ bytes: 0, ...(await whole.read()) })
        const restarted = createIptablesBackend({ config, iptables: [subject], ...options, nfacct: false, limits })
        const afterRestart = await restarted.sync({ ...requestFor(final), changed: 'all' }, SIGNAL)
        expect(afterRestart).toMatchObject({ bytes: 0, ...(await whole.read()) })
      },
    ),
  )
})

test('service ports that are refused for a while hold up nothing, and in the end nothing shows that they were', async () => {
  await fc.assert(
    fc.asyncProperty(
      statesArbitrary(),
      fc.infiniteStream(fc.nat({ max: 3 })),
      configArbitrary(EVERY_LAYOUT),
      optionsArbitrary(),
      LIMITS,
      VARIANT,
      async (states, chance, config, { family, ...options }, limits, variant) => {
        const happens = (): boolean => chance.next().value === 0
        const subject = subjectOf({ family, variant })
        let refused: ReadonlySet<ServicePortName> = new Set()
        const iptables = refusing(subject, () => refused)
        const backend = createIptablesBackend({ config, iptables: [iptables], ...options, nfacct: false, limits })
        let listed: readonly ServicePortName[] = []
        let last: State | undefined
        const syncedTo = async (state: State, retried: readonly ServicePortName[]): Promise<void> => {
          const changed = last === undefined ? 'all' : new Set([...changedBetween(last, state), ...retried])
          last = state
          const request = { ...requestFor(state), changed } as const
          const result = await backend.sync(request, SIGNAL)
          const before = new Set(listed)
          listed = result.refused.map(({ owner }) => owner)
          // Comments tell service ports apart but for their protocol.
          const names = new Set([...refused].map((owner) => displayName(parseServicePortName(owner))))
          const others = listed.filter(
            (owner) => !before.has(owner) && !names.has(displayName(parseServicePortName(owner))),
          )
          expect(others).toEqual([])
          // What is known without reading is what is there.
          expect(await backend.read()).toEqual({ rules: result.rules, digest: result.digest })
          expect(await backend.repairDrift(SIGNAL)).toEqual([])
        }

        for (const state of states) {
          refused = new Set([...state.services.keys()].filter(happens))
          await syncedTo(state, listed.filter(happens))
        }
        const final = states.at(-1)
        if (final === undefined) return
        refused = new Set()
        await syncedTo(final, listed)
        expect(listed).toEqual([])
        const other = subjectOf({ family, variant })
        const whole = createIptablesBackend({ config, iptables: [other], ...options, nfacct: false })
        await synced(whole, { from: undefined, to: final })
        expect(await differencesOf(withoutGuard(other.text()), withoutGuard(subject.text()))).toEqual([])
        expect(await backend.read()).toEqual(await whole.read())
      },
    ),
    // A smaller case takes minutes to find.
    { numRuns: process.env['POINTSMAN_QUICK'] === '1' ? 5 : 50, endOnFailure: true },
  )
})

test('between the tables of small syncs, packets meet what was or what is to be', async () => {
  await fc.assert(
    fc.asyncProperty(
      changeArbitrary(),
      configArbitrary(EVERY_LAYOUT),
      optionsArbitrary(),
      LIMITS,
      async ({ before, after }, config, { family, ...options }, limits) => {
        const subject = subjectOf({ family, variant: 'nft' })
        const backend = createIptablesBackend({ config, iptables: [subject], ...options, nfacct: false, limits })
        await synced(backend, { from: undefined, to: before })
        const watcher = subjectOf({ family, variant: 'nft' })
        watcher.change(subject.text())
        const moments: (readonly SavedTable[])[] = [parseSave(watcher.text())]
        subject.forgetCalls()
        await synced(backend, { from: before, to: after })
        for (const commit of subject.calls.flatMap(({ text }) => commitsOf(text ?? ''))) {
          watcher.change(commit)
          moments.push(parseSave(watcher.text()))
        }
        expect(watcher.text()).toBe(subject.text())

        for (const packet of packetsTo(before, family).filter((one) => ownersOf(one, [before, after]).size <= 1)) {
          const fates = moments.map((tables) => walked(packet, tables, before))
          const allowed = allowedBetween(fates[0], fates.at(-1))
          expect({ packet, fates: fates.filter((fate) => !allowed.some((one) => isEqual(one, fate))) }).toEqual({
            packet,
            fates: [],
          })
        }
      },
    ),
  )
})

const SIGNAL = new AbortController().signal

const subjectOf = ({ family, variant }: Pick<FakeIptables, 'family'> & { readonly variant: Variant }): FakeIptables =>
  createFakeIptables({ family, variant })

const requestFor = (state: State) => ({ state, fromSeq: seq(1), toSeq: state.seq })

/** Whether the sync succeeded. As the engine does it: what changed since the last success, all when the node did. */
async function synced(
  backend: IptablesBackend,
  { from, to }: { readonly from: State | undefined; readonly to: State },
): Promise<boolean> {
  const changed: ReadonlySet<ServicePortName> | 'all' = from === undefined ? 'all' : changedBetween(from, to)
  try {
    await backend.sync({ ...requestFor(to), changed }, SIGNAL)
    return true
  } catch {
    return false
  }
}

/** What is in KUBE-FIREWALL stays: kubelet may have put it there. */
const withoutGuard = (save: string): string => save.replaceAll(/^-A KUBE-FIREWALL .*\n/gm, '')

const commitsOf = (text: string): readonly string[] => text.split(/(?<=^COMMIT\n)/m).filter((part) => part !== '')
