import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import {
  DEFAULT_PROXY_CONFIG,
  seq,
  type ProxyConfig,
  type ServicePortName,
  type State,
  type SyncRequest,
} from '@pointsman/core'
import { changedBetween, nodeInfoWith, stateOf, type PortDescription } from '@pointsman/core/testing'
import { createMockBackend } from './mock-backend.js'

const CLUSTER_CIDR: ProxyConfig = {
  ...DEFAULT_PROXY_CONFIG,
  detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] },
}

const node = nodeInfoWith()
const port = (
  name: string,
  host: number,
  endpoints: readonly string[] = ['10.244.1.5:8080@node-a'],
): PortDescription => ({
  is: `shop/${name}`,
  clusterIP: `10.96.0.${host}`,
  endpoints,
})
const three = stateOf({ ports: [port('a', 1), port('b', 2), port('c', 3)], node, seq: 7 })
const open = new AbortController().signal
const request = (state: State, changed: SyncRequest['changed'] = 'all'): SyncRequest => ({
  state,
  changed,
  fromSeq: seq(1),
  toSeq: state.seq,
})
const mock = (options: Partial<Parameters<typeof createMockBackend>[0]> = {}) =>
  createMockBackend({ config: CLUSTER_CIDR, ...options })
const namesIn = (backend: ReturnType<typeof mock>) => [...backend.inForce.services.keys()].sort()
const NAMES = ['shop/a/TCP/IPv4', 'shop/b/TCP/IPv4', 'shop/c/TCP/IPv4']

function gate() {
  let open = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, resolve: () => open() }
}

describe('the mock backend', () => {
  it('keeps each sync with what was asked and what came of it', async () => {
    const backend = mock()
    const first = await backend.sync(request(three), open)
    backend.failNext()
    const changed = new Set(['shop/b/TCP/IPv4', 'shop/a/TCP/IPv4'] as ServicePortName[])
    await expect(backend.sync(request(three, changed), open)).rejects.toMatchObject({ code: 'SYNC_FAILED' })
    expect(backend.syncs).toMatchObject([
      { changed: 'all', fromSeq: 1, toSeq: 7, stateSeq: 7, outcome: { type: 'done', result: first } },
      { changed: NAMES.slice(0, 2), outcome: { type: 'failed', error: { code: 'SYNC_FAILED' } } },
    ])
  })

  it('counts a rule for each endpoint that each front leads to', async () => {
    const edge: PortDescription = {
      ...port('edge', 9, ['10.244.1.5:80@node-a', '10.244.2.6:80@node-b', '10.244.2.7:80@node-b']),
      externalIPs: ['203.0.113.1'],
      nodePort: 30080,
      externalTrafficPolicy: 'Local',
    }
    const { rules } = await mock().sync(request(stateOf({ ports: [edge], node })), open)
    expect(rules).toBe(3 + 1 + 1)
  })

  it('leaves nothing of a sync that it was told to fail', async () => {
    const backend = mock()
    backend.failNext(2)
    await expect(backend.sync(request(three), open)).rejects.toThrow('nothing took effect')
    await expect(backend.sync(request(three), open)).rejects.toThrow('nothing took effect')
    expect(namesIn(backend)).toEqual([])
    await backend.sync(request(three), open)
    expect(namesIn(backend)).toEqual(NAMES)
  })

  it('fails for as long as a predicate says so', async () => {
    const backend = mock()
    backend.failWhen(({ changed }) => changed === 'all')
    await expect(backend.sync(request(three), open)).rejects.toMatchObject({ code: 'SYNC_FAILED' })
    await expect(backend.sync(request(three), open)).rejects.toMatchObject({ code: 'SYNC_FAILED' })
    await backend.sync(request(three, new Set(three.services.keys())), open)
    backend.failWhen(() => false)
    await backend.sync(request(three), open)
    expect(namesIn(backend)).toEqual(NAMES)
  })

  it('keeps the first half of a sync that fails half-way, and shows it', async () => {
    const backend = mock()
    backend.failHalfWay()
    await expect(backend.sync(request(three), open)).rejects.toMatchObject({ code: 'SYNC_FAILED_HALF_WAY' })
    expect(namesIn(backend)).toEqual(NAMES.slice(0, 2))
    expect((await backend.read()).rules).toBe(2)
    expect(backend.route({ from: 'node', to: '10.96.0.2', port: 80, protocol: 'tcp' }).verdict).toBe('endpoints')
    expect(backend.route({ from: 'node', to: '10.96.0.3', port: 80, protocol: 'tcp' }).verdict).toBe('no-service')
  })

  it('is as slow as it is told to be, and answers from before until it is done', async () => {
    const { promise, resolve } = gate()
    const backend = mock({ wait: () => promise })
    const running = backend.sync(request(three), open)
    expect(namesIn(backend)).toEqual([])
    resolve()
    await running
    expect(namesIn(backend)).toEqual(NAMES)
  })

  it('gives up waiting when it is aborted, with nothing in force', async () => {
    const abort = new AbortController()
    const backend = mock({ wait: () => new Promise(() => undefined) })
    const running = backend.sync(request(three), abort.signal)
    abort.abort(new Error('shut down'))
    await expect(running).rejects.toThrow('shut down')
    expect(namesIn(backend)).toEqual([])
  })

  it('refuses a sync while another runs: the engine never overlaps them', async () => {
    const { promise, resolve } = gate()
    const backend = mock({ wait: () => promise })
    const running = backend.sync(request(three), open)
    await expect(backend.sync(request(three), open)).rejects.toThrow('before the last one ended')
    resolve()
    await running
  })

  it('refuses a sync once it is closed', async () => {
    const backend = mock()
    await backend.close()
    await expect(backend.sync(request(three), open)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('has no part in families that the configuration lacks', async () => {
    const backend = mock({ config: { ...CLUSTER_CIDR, families: ['IPv6'] } })
    expect(await backend.sync(request(three), open)).toMatchObject({ rules: 0 })
  })

  it('follows a change of the node without being told of any service port', async () => {
    const local: PortDescription = {
      ...port('a', 1, ['10.244.1.5:80@node-a', '10.244.2.6:80@node-b', '10.244.2.7:80@node-b']),
      internalTrafficPolicy: 'Local',
    }
    const here = stateOf({ ports: [local], node })
    const there = stateOf({ ports: [local], node: { ...node, name: 'node-b' } })
    const backend = mock()
    expect((await backend.sync(request(here), open)).rules).toBe(1)
    const result = await backend.sync(request(there, new Set()), open)
    expect(result.rules).toBe(2)
    expect(await backend.read()).toEqual({ rules: 2, digest: result.digest })
    const other = mock()
    expect((await other.sync(request(there), open)).digest).toBe(result.digest)
  })

  it('is not touched by what becomes of the objects that it was given', async () => {
    const endpoint = {
      address: '10.244.1.5',
      port: 80,
      ready: true,
      serving: true,
      terminating: false,
      nodeName: 'node-a',
    }
    const backend = mock()
    const endpoints = new Map([['shop/a/TCP/IPv4' as ServicePortName, [endpoint]]])
    await backend.sync(request({ ...three, endpoints }), open)
    const before = await backend.read()
    endpoint.address = '10.244.9.9'
    expect(await backend.read()).toEqual(before)
    expect(backend.route({ from: 'node', to: '10.96.0.1', port: 80, protocol: 'tcp' }).endpoints[0]?.address).toBe(
      '10.244.1.5',
    )
  })

  it('has the digest of its state alone, by whatever steps it came there', async () => {
    const stateArbitrary = fc
      .array(
        fc.record({
          name: fc.constantFrom('a', 'b', 'c', 'd'),
          host: fc.integer({ min: 1, max: 3 }),
          endpoints: fc.subarray(['10.244.1.5:80@node-a', '10.244.2.6:80@node-b']),
        }),
        { maxLength: 4 },
      )
      .map((ports) => stateOf({ ports: ports.map(({ name, host, endpoints }) => port(name, host, endpoints)), node }))
    await fc.assert(
      fc.asyncProperty(fc.array(stateArbitrary, { minLength: 1, maxLength: 5 }), async (states) => {
        const stepwise = mock()
        let before = stateOf({ ports: [], node })
        for (const state of states) {
          await stepwise.sync(request(state, changedBetween(before, state)), open)
          before = state
        }
        const atOnce = mock()
        const { rules, digest } = await atOnce.sync(request(before), open)
        expect(await stepwise.read()).toEqual({ rules, digest })
      }),
    )
  })

  it('sends nothing for service ports that are named and have not changed', async () => {
    const backend = mock()
    await backend.sync(request(three), open)
    expect(await backend.sync(request(three, new Set(three.services.keys())), open)).toMatchObject({
      bytes: 0,
      full: false,
    })
    expect(await backend.sync(request(three), open)).toMatchObject({ bytes: 0, full: true })
  })

  it('pays for a change what the change costs', async () => {
    const ports = Array.from({ length: 2000 }, (_, index) => port(`s${index}`, 1))
    const many = stateOf({ ports, node })
    const changed = stateOf({ ports: [port('s0', 1, []), ...ports.slice(1)], node })
    const backend = mock()
    const full = await backend.sync(request(many), open)
    const one = await backend.sync(request(changed, changedBetween(many, changed)), open)
    expect(one.bytes).toBeLessThan(full.bytes / 1000)
  })
})
