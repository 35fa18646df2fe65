import {
  DEFAULT_PROXY_CONFIG,
  seq,
  type ServicePortName,
  type State,
  type SyncRequest,
  type SyncResult,
} from '@pointsman/core'
import { changedBetween, type PortDescription, stateOf } from '@pointsman/core/testing'
import { type Iptables, IptablesError, type RestoreFailure } from 'node-iptables'
import { createFakeIptables, type FakeIptables } from 'node-iptables/fake'
import { describe, expect, it } from 'vitest'
import { createIptablesBackend } from './iptables-backend.js'

const POISON = '192.0.2.66'
const BAD = 'shop/ffffff:http/TCP/IPv4'

/** Tables that refuse any rule with one address, and say which line it is or only that of COMMIT. */
function fussy(fake: FakeIptables, { namesLine }: { readonly namesLine: boolean }): Iptables {
  return {
    ...fake,
    restore: async (request, limits) => {
      const lines = 'lines' in request && typeof request.lines === 'function' ? request.lines() : []
      let number = 0
      for await (const text of lines) {
        number += 1
        if (!text.includes(POISON)) continue
        const line: RestoreFailure['line'] = namesLine ? { number, text } : { number, text: 'COMMIT' }
        throw new IptablesError('RESTORE_FAILED', { argv: ['iptables-restore'], restore: { line, neighbours: [] } })
      }
      await fake.restore(request, limits)
    },
  }
}

const service = (name: string, ...endpoints: readonly string[]): PortDescription => ({
  is: `shop/${name}:http`,
  clusterIP: `10.96.0.${name.length}`,
  endpoints: endpoints.map((endpoint) => `${endpoint}:80`),
})

const good = (generation: number): readonly PortDescription[] =>
  ['a', 'bb', 'ccc', 'dddd', 'eeeee'].map((name, index) => service(name, `10.244.${generation}.${index + 1}`))

const signal = new AbortController().signal

describe.each([{ namesLine: true }, { namesLine: false }])('rules that iptables refuses ($namesLine)', (how) => {
  const setUp = () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fussy(fake, how)] })
    let last: State | undefined
    /** What has changed since, and these service ports. */
    const sync = async (ports: readonly PortDescription[], also: readonly string[] = []): Promise<SyncResult> => {
      const state = stateOf({ ports, node: {} })
      const changed =
        last === undefined ? 'all' : new Set([...changedBetween(last, state), ...(also as ServicePortName[])])
      last = state
      return backend.sync({ state, changed, fromSeq: seq(1), toSeq: seq(1) }, signal)
    }
    const reads = (): number => fake.calls.filter(({ program }) => program === 'save').length
    return { fake, sync, reads }
  }

  const textOf = async (ports: readonly PortDescription[]): Promise<readonly string[]> => {
    const { fake, sync } = setUp()
    await sync(ports)
    return sorted(fake.text())
  }

  const sorted = (text: string): readonly string[] => text.split('\n').toSorted()

  it('do not hold up the other services, and are named', async () => {
    const { fake, sync } = setUp()
    const { refused } = await sync([...good(1), service('ffffff', '10.244.1.9', POISON)])
    expect(refused).toMatchObject([{ owner: BAD, error: { code: 'RESTORE_FAILED' } }])
    expect(sorted(fake.text())).toEqual(await textOf(good(1)))
  })

  it('leave what was in force for that service, while the others change', async () => {
    const { fake, sync } = setUp()
    await sync([...good(1), service('ffffff', '10.244.1.9')])
    expect((await sync([...good(2), service('ffffff', POISON)])).refused).toMatchObject([{ owner: BAD }])
    expect(sorted(fake.text())).toEqual(await textOf([...good(2), service('ffffff', '10.244.1.9')]))
  })

  it('are tried again, by itself and among others, without reading the tables', async () => {
    const { fake, sync, reads } = setUp()
    await sync([...good(1), service('ffffff', '10.244.1.9')])
    await sync([...good(2), service('ffffff', POISON)])
    const before = reads()
    const again = await sync([...good(2), service('ffffff', POISON)], [BAD])
    expect(again).toMatchObject({ full: false, bytes: 0, refused: [{ owner: BAD }] })
    const later = await sync([...good(3), service('ffffff', POISON)], [BAD])
    expect(later).toMatchObject({ full: false, refused: [{ owner: BAD }] })
    const without = await sync([...good(4), service('ffffff', POISON)])
    expect(without).toMatchObject({ full: false, refused: [{ owner: BAD }] })
    expect(reads()).toBe(before)
    expect(sorted(fake.text())).toEqual(await textOf([...good(4), service('ffffff', '10.244.1.9')]))
  })

  it('are no longer listed once the service is removed', async () => {
    const { fake, sync } = setUp()
    await sync([...good(1), service('ffffff', '10.244.1.9')])
    await sync([...good(1), service('ffffff', POISON)])
    expect((await sync(good(1))).refused).toEqual([])
    expect(sorted(fake.text())).toEqual(await textOf(good(1)))
  })

  it("are told as they are when they are nobody's", async () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const iptables = fussy(fake, how)
    const backend = createIptablesBackend({
      // The end of KUBE-SERVICES names the addresses of node ports.
      config: { ...DEFAULT_PROXY_CONFIG, nodePortAddresses: [`${POISON}/32`] },
      iptables: [iptables],
      interfaceAddresses: [POISON],
    })
    const state = stateOf({ ports: good(1), node: {} })
    const sync = backend.sync({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
    await expect(sync).rejects.toMatchObject({ code: 'RESTORE_FAILED' })
  })

  it('are not tried one by one without end', async () => {
    const { fake, sync } = setUp()
    const many = Array.from({ length: 60 }, (_, index) => ({
      is: `shop/s${index}:http`,
      clusterIP: `10.97.0.${index + 1}`,
      endpoints: [`${POISON}:${index + 1}`],
    }))
    const { refused } = await sync([...good(1), ...many])
    expect(refused.filter(({ error }) => error instanceof IptablesError)).toHaveLength(20)
    // Good ones may be among those that were not tried: they have their turn next.
    const bad = new Set(many.map(({ is }) => `${is}/TCP/IPv4`))
    expect(new Set(refused.map(({ owner }) => owner))).toEqual(bad)
    let last = refused
    for (let round = 0; round < 5 && last.some(({ error }) => !(error instanceof IptablesError)); round++)
      last = (
        await sync(
          [...good(1), ...many],
          last.map(({ owner }) => owner),
        )
      ).refused
    expect(last.map(({ error }) => error.name)).toEqual(last.map(() => 'IptablesError'))
    expect(sorted(fake.text())).toEqual(await textOf(good(1)))
  })

  it('leave nothing behind when the service is fixed', async () => {
    const { fake, sync } = setUp()
    await sync([...good(1), service('ffffff', '10.244.1.9')])
    await sync([...good(2), service('ffffff', POISON)])
    expect(await sync([...good(3), service('ffffff', '10.244.3.9')])).toMatchObject({ full: false, refused: [] })
    expect(sorted(fake.text())).toEqual(await textOf([...good(3), service('ffffff', '10.244.3.9')]))
  })
})

describe('a service port that no rules can be planned for', () => {
  const BROKEN = 'shop/bb:http/TCP/IPv4'
  const setUp = () => {
    const fake = createFakeIptables({ family: 'IPv4', variant: 'nft' })
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [fake] })
    return { fake, sync: (request: SyncRequest) => backend.sync(request, signal) }
  }
  const all = (state: State) => ({ state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }) as const
  const healthy = (generation: number): State => stateOf({ ports: good(generation), node: {} })
  const broken = (generation: number): State => {
    const state = healthy(generation)
    const endpoints = [...state.endpoints].map(([id, those]) => [id, id === BROKEN ? [null as never] : those] as const)
    return { ...state, endpoints: new Map(endpoints) }
  }
  const sorted = (text: string): readonly string[] => text.split('\n').toSorted()
  const refusal = {
    refused: [{ owner: BROKEN, error: { message: expect.stringContaining('planning its rules failed') } }],
  }
  const textOf = async (ports: readonly PortDescription[]): Promise<readonly string[]> => {
    const { fake, sync } = setUp()
    await sync(all(stateOf({ ports, node: {} })))
    return sorted(fake.text())
  }

  it('is named and has no rules, and all others have theirs', async () => {
    const { fake, sync } = setUp()
    expect(await sync(all(broken(1)))).toMatchObject(refusal)
    expect(sorted(fake.text())).toEqual(await textOf(good(1).filter(({ is }) => is !== 'shop/bb:http')))
  })

  it.each(['what changed', 'everything'])('keeps the rules that it had, by a sync of %s', async (how) => {
    const { fake, sync } = setUp()
    await sync(all(healthy(1)))
    const changed = how === 'everything' ? 'all' : changedBetween(healthy(1), healthy(2))
    expect(await sync({ ...all(broken(2)), changed })).toMatchObject(refusal)
    const left = good(2).map((port, index) => (port.is === 'shop/bb:http' ? (good(1)[index] ?? port) : port))
    expect(sorted(fake.text())).toEqual(await textOf(left))
    expect(await sync(all(healthy(3)))).toMatchObject({ full: true, refused: [] })
    expect(sorted(fake.text())).toEqual(await textOf(good(3)))
  })
})
