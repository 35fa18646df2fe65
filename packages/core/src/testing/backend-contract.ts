import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ServicePortName } from '../model/names.js'
import { seq } from '../model/record.js'
import type { Backend, SyncRequest, SyncResult } from '../ports/backend.js'
import type { State } from '../state/state.js'
import { CONTRACT_STATES } from './backend-contract-states.js'
import { changedBetween } from './state-builder.js'

/** A backend under test, and the ways there are to break it. */
export interface BackendUnderTest {
  readonly backend: Backend
  readonly fault?: BackendFaults
}

export interface BackendFaults {
  /** The next sync rejects before anything took effect. */
  failNext(): void
  /** The next sync rejects after a part of it took effect. */
  failHalfWay(): void
  /** From now on rules of these service ports, and of no others, are refused; rules can still be taken out. */
  refuse(owners: ReadonlySet<ServicePortName>): void
}

export interface BackendContract {
  readonly name: string
  /** A backend with nothing in force, for IPv4 and IPv6. The suite closes it. */
  readonly create: () => BackendUnderTest | Promise<BackendUnderTest>
  /** Parts of the contract that this backend cannot be held to, each with the reason: they are no tests of it. */
  readonly skips?: { readonly [part in ContractPart]?: string }
}

export const CONTRACT_PARTS = {
  idempotence: 'the same request again leaves the same contents',
  'all again': 'the same state again as `all` leaves the same contents',
  unchanged: 'a request in which nothing changed sends no bytes',
  'read back': 'what is read back is what the sync answered',
  incremental: 'a run over what changed leaves what a run over everything leaves',
  'several changes': 'one run carries several changes, additions and removals among them',
  removal: 'a removed service port leaves nothing behind',
  order: 'equal states that were built in another order, by other ways, give equal digests',
  difference: 'different states give different digests',
  'own copy': 'a state that is changed after a sync does not change what is in force',
  cleanup: 'cleanup leaves what a backend has that never synced',
  'after cleanup': 'a run after cleanup starts from nothing',
  aborted: 'an aborted sync rejects, and a later `all` heals',
  'after failure': 'after a rejected sync, one with everything since the last success is right',
  'after half a failure': 'after a sync that rejected half-way, `all` heals',
  'retry after half a failure':
    'after a sync that rejected half-way, one with everything since the last success is right',
  refused: 'a refused service port keeps what it had, is listed, and holds up no other',
  'refused at first': 'what is refused from the start has nothing in force, by `all` as well',
  'still refused': 'a run that does not name a refused service port still lists it',
  'accepted later': 'a service port that is no longer refused gets its rules when a run names it',
  'refused and removed': 'a refused service port that is removed leaves nothing behind, and is no longer listed',
} as const
export type ContractPart = keyof typeof CONTRACT_PARTS

/** The text of `ports/backend.ts` as tests, for every backend alike. */
export function backendContract({ name, create, skips = {} }: BackendContract): void {
  describe(`the contract of a backend: ${name}`, () => {
    const open: Backend[] = []
    let under: BackendUnderTest

    const fresh = async (): Promise<BackendUnderTest> => {
      const created = await create()
      open.push(created.backend)
      return created
    }

    beforeEach(async () => {
      under = await fresh()
    })

    afterEach(async () => {
      await Promise.all(open.splice(0).map((backend) => backend.close()))
    })

    const part = (which: ContractPart, check: () => Promise<void>): void => {
      if (skips[which] !== undefined) return
      it.each([CONTRACT_PARTS[which]])('%s', async () => {
        await check()
      })
    }

    const faults = (): BackendFaults => {
      if (under.fault === undefined) throw new Error(`${name} has no faults to inject: skip this part and say why`)
      return under.fault
    }

    /** What a backend has in force that was given a state once, as a whole. */
    const contentsOf = async (state: State) => {
      const { backend } = await fresh()
      await syncAll(backend, state)
      return backend.read()
    }

    part('idempotence', async () => {
      const [before, after] = [CONTRACT_STATES.shop, CONTRACT_STATES.scaled]
      await syncAll(under.backend, before)
      const first = await syncChanged(under.backend, after, changedBetween(before, after))
      const contents = await under.backend.read()
      const second = await syncChanged(under.backend, after, changedBetween(before, after))
      expect(second.digest).toBe(first.digest)
      expect(await under.backend.read()).toEqual(contents)
    })

    part('all again', async () => {
      const first = await syncAll(under.backend, CONTRACT_STATES.shop)
      const second = await syncAll(under.backend, CONTRACT_STATES.shop)
      expect({ rules: second.rules, digest: second.digest }).toEqual({ rules: first.rules, digest: first.digest })
    })

    part('unchanged', async () => {
      const first = await syncAll(under.backend, CONTRACT_STATES.shop)
      expect(first.bytes).toBeGreaterThan(0)
      const second = await syncChanged(under.backend, CONTRACT_STATES.shop, new Set())
      expect(second).toEqual({ ...first, full: second.full, bytes: 0 })
    })

    part('read back', async () => {
      for (const state of [CONTRACT_STATES.shop, CONTRACT_STATES.scaled, CONTRACT_STATES.empty]) {
        const { rules, digest } = await syncAll(under.backend, state)
        expect(await under.backend.read()).toEqual({ rules, digest })
      }
    })

    part('incremental', async () => {
      const states = Object.values(CONTRACT_STATES)
      for (const before of states) {
        for (const after of states.filter((state) => state !== before)) {
          await syncAll(under.backend, before)
          await syncChanged(under.backend, after, changedBetween(before, after))
          expect(await under.backend.read()).toEqual(await contentsOf(after))
        }
      }
    })

    part('several changes', async () => {
      const { shop, scaled, rebuilt } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      const changed = new Set([...changedBetween(shop, scaled), ...changedBetween(scaled, rebuilt)])
      const { rules, digest } = await syncChanged(under.backend, rebuilt, changed)
      expect({ rules, digest }).toEqual(await contentsOf(rebuilt))
    })

    part('removal', async () => {
      const { shop, empty } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      const before = await under.backend.read()
      await syncChanged(under.backend, empty, changedBetween(shop, empty))
      const after = await under.backend.read()
      expect(after).toEqual(await contentsOf(empty))
      expect(after.rules).toBeLessThan(before.rules)
    })

    part('order', async () => {
      const { shop, scaled, shopReversed } = CONTRACT_STATES
      const direct = await syncAll(under.backend, shop)
      const { backend: other } = await fresh()
      await syncAll(other, scaled)
      const detour = await syncChanged(other, shopReversed, changedBetween(scaled, shopReversed))
      expect(detour.digest).toBe(direct.digest)
    })

    part('difference', async () => {
      const { shopReversed: _, ...different } = CONTRACT_STATES
      const digests = []
      for (const state of Object.values(different)) digests.push((await syncAll(under.backend, state)).digest)
      expect(new Set(digests).size).toBe(digests.length)
    })

    part('own copy', async () => {
      const { shop } = CONTRACT_STATES
      const services = new Map(shop.services)
      const endpoints = new Map(shop.endpoints)
      await syncAll(under.backend, { ...shop, services, endpoints })
      services.clear()
      endpoints.clear()
      expect(await under.backend.read()).toEqual(await contentsOf(shop))
    })

    part('cleanup', async () => {
      const nothing = await under.backend.read()
      await syncAll(under.backend, CONTRACT_STATES.shop)
      await under.backend.cleanup()
      expect(await under.backend.read()).toEqual(nothing)
      expect(nothing.rules).toBe(0)
    })

    part('after cleanup', async () => {
      const first = await syncAll(under.backend, CONTRACT_STATES.shop)
      await under.backend.cleanup()
      const { bytes, ...second } = await syncAll(under.backend, CONTRACT_STATES.shop)
      // What a cleanup leaves, because others use it too, is not sent again.
      expect(second).toEqual({ full: first.full, rules: first.rules, digest: first.digest, refused: [] })
      expect(bytes).toBeGreaterThan(0)
    })

    part('aborted', async () => {
      const { shop, scaled } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      const request = requestFor(scaled, changedBetween(shop, scaled))
      await expect(under.backend.sync(request, AbortSignal.abort())).rejects.toBeDefined()
      await syncAll(under.backend, scaled)
      expect(await under.backend.read()).toEqual(await contentsOf(scaled))
    })

    part('after failure', async () => {
      const { shop, scaled, rebuilt } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      faults().failNext()
      await expect(syncChanged(under.backend, scaled, changedBetween(shop, scaled))).rejects.toBeDefined()
      const since = new Set([...changedBetween(shop, scaled), ...changedBetween(scaled, rebuilt)])
      const { rules, digest } = await syncChanged(under.backend, rebuilt, since)
      expect({ rules, digest }).toEqual(await contentsOf(rebuilt))
    })

    part('after half a failure', async () => {
      await failHalfWay()
      const { rules, digest } = await syncAll(under.backend, CONTRACT_STATES.rebuilt)
      expect({ rules, digest }).toEqual(await contentsOf(CONTRACT_STATES.rebuilt))
      expect(await under.backend.read()).toEqual({ rules, digest })
    })

    part('retry after half a failure', async () => {
      const { shop, scaled, rebuilt } = CONTRACT_STATES
      await failHalfWay()
      const since = new Set([...changedBetween(shop, scaled), ...changedBetween(scaled, rebuilt)])
      const { rules, digest } = await syncChanged(under.backend, rebuilt, since)
      expect({ rules, digest }).toEqual(await contentsOf(rebuilt))
      expect(await under.backend.read()).toEqual({ rules, digest })
    })

    part('refused', async () => {
      const { shop, scaled } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      faults().refuse(new Set([REFUSED]))
      for (const changed of [changedBetween(shop, scaled), 'all'] as const) {
        const result = await syncChanged(under.backend, scaled, changed)
        expect(ownersOf(result)).toEqual([REFUSED])
        expect(result.refused[0]?.error).toBeInstanceOf(Error)
        const contents = await contentsOf(withOne(scaled, shop))
        expect(await under.backend.read()).toEqual(contents)
        expect({ rules: result.rules, digest: result.digest }).toEqual(contents)
      }
    })

    part('refused at first', async () => {
      const { scaled, empty } = CONTRACT_STATES
      faults().refuse(new Set([REFUSED]))
      const result = await syncAll(under.backend, scaled)
      expect(ownersOf(result)).toEqual([REFUSED])
      expect(await under.backend.read()).toEqual(await contentsOf(withOne(scaled, empty)))
    })

    part('still refused', async () => {
      const { shop, scaled } = CONTRACT_STATES
      faults().refuse(new Set([REFUSED]))
      await syncAll(under.backend, shop)
      const others = new Set([...changedBetween(shop, scaled)].filter((name) => name !== REFUSED))
      expect(ownersOf(await syncChanged(under.backend, scaled, others))).toEqual([REFUSED])
      expect(ownersOf(await syncChanged(under.backend, scaled, new Set()))).toEqual([REFUSED])
    })

    part('accepted later', async () => {
      const { shop, scaled } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      faults().refuse(new Set([REFUSED]))
      await syncChanged(under.backend, scaled, changedBetween(shop, scaled))
      expect(ownersOf(await syncChanged(under.backend, scaled, new Set([REFUSED])))).toEqual([REFUSED])
      faults().refuse(new Set())
      const { rules, digest, refused } = await syncChanged(under.backend, scaled, new Set([REFUSED]))
      expect({ rules, digest, refused }).toEqual({ ...(await contentsOf(scaled)), refused: [] })
      expect(await under.backend.read()).toEqual({ rules, digest })
    })

    part('refused and removed', async () => {
      const { shop, scaled, empty } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      faults().refuse(new Set([REFUSED]))
      await syncChanged(under.backend, scaled, changedBetween(shop, scaled))
      const gone = withOne(scaled, empty)
      const removed = await syncChanged(under.backend, gone, new Set([REFUSED]))
      expect(removed.refused).toEqual([])
      expect(await under.backend.read()).toEqual(await contentsOf(gone))
    })

    async function failHalfWay(): Promise<void> {
      const { shop, scaled } = CONTRACT_STATES
      await syncAll(under.backend, shop)
      faults().failHalfWay()
      await expect(syncChanged(under.backend, scaled, changedBetween(shop, scaled))).rejects.toBeDefined()
    }
  })
}

/** It changes from `shop` to `scaled`, in what is in force for it as well. */
const REFUSED = 'shop/cart:http/TCP/IPv4' as ServicePortName

const ownersOf = ({ refused }: SyncResult): readonly ServicePortName[] => refused.map(({ owner }) => owner)

/** The state, but with that service port as it is in the other state. */
function withOne(state: State, other: State): State {
  const [services, endpoints] = [new Map(state.services), new Map(state.endpoints)]
  const [port, its] = [other.services.get(REFUSED), other.endpoints.get(REFUSED)]
  if (port === undefined) services.delete(REFUSED)
  else services.set(REFUSED, port)
  if (its === undefined) endpoints.delete(REFUSED)
  else endpoints.set(REFUSED, its)
  return { ...state, services, endpoints }
}

const requestFor = (state: State, changed: SyncRequest['changed']): SyncRequest => ({
  state,
  changed,
  fromSeq: seq(1),
  toSeq: state.seq,
})

const syncAll = (backend: Backend, state: State): Promise<SyncResult> =>
  backend.sync(requestFor(state, 'all'), new AbortController().signal)

const syncChanged = (backend: Backend, state: State, changed: SyncRequest['changed']): Promise<SyncResult> =>
  backend.sync(requestFor(state, changed), new AbortController().signal)
