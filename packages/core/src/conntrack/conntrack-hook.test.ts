import { beforeEach, describe, expect, test, vi } from 'vitest'
import { conntrackCommands, type ConntrackRunResult } from '../io/conntrack/conntrack-commands.js'
import { DEFAULT_PROXY_CONFIG } from '../model/proxy-config.js'
import { frontsOf, type State } from '../state/state.js'
import { servicePortOf, stateOf, type PortDescription } from '../testing/state-builder.js'
import {
  createConntrackHook,
  type ConntrackHook,
  type ConntrackHookOptions,
  type ConntrackReport,
} from './conntrack-hook.js'
import { fakeConntrack, type FakeConntrack } from './test-support/fake-conntrack.js'

const dns: PortDescription = { is: 'kube-system/dns', protocol: 'UDP', clusterIP: '10.96.0.10', port: 53 }
const dns6: PortDescription = { ...dns, clusterIP: 'fd00:96::a' }
const FLOW = '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53'
const FLOW6 = '[fd00::2]:4000 > [fd00:96::a]:53 > [fd00:244::5]:53'

/** A state whose maps the next application of changes would alter. */
const stateWith = (...ports: readonly PortDescription[]): State & { readonly services: Map<never, never> } => {
  const state = stateOf({ ports })
  return { ...state, services: new Map(state.services) as Map<never, never> }
}

let conntrack: FakeConntrack
let hook: ConntrackHook
let reports: ConntrackReport[]
/** Pauses that were asked for, each with what ends it. */
let pauses: { readonly ms: number; readonly end: () => void }[]
let time: number

beforeEach(() => {
  conntrack = fakeConntrack(FLOW, FLOW6)
  hook = createHook()
})

function createHook(options: Partial<ConntrackHookOptions> = {}): ConntrackHook {
  reports = []
  pauses = []
  time = 0
  const sleep: ConntrackHookOptions['sleep'] = (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      pauses.push({ ms, end: resolve })
      signal.addEventListener('abort', () => resolve())
    })
  return createConntrackHook({
    ...options,
    config: { ...DEFAULT_PROXY_CONFIG, syncPeriodMs: 3000 },
    flows: conntrackCommands({
      run: (request) => {
        time += 5
        return conntrack.run(request)
      },
    }),
    onReport: (report) => reports.push(report),
    sleep,
    now: () => time,
  })
}

/** A report in a line. */
const told = (): readonly string[] =>
  reports.map((report) =>
    report.type === 'reconciled'
      ? `${report.deleted} of ${report.listed} in ${report.durationMs} ms${report.left > 0 ? `, ${report.left} left` : ''}`
      : `${report.error.code}, ${report.deleted} of ${report.listed}, ${
          report.retryInMs === undefined ? 'no retry' : `again in ${report.retryInMs} ms`
        }`,
  )

const fail = (stderr: string) => (): Promise<Partial<ConntrackRunResult>> => Promise.resolve({ exitCode: 1, stderr })
const BUSY = fail('conntrack: Operation failed: busy')
const succeed = () => undefined

describe('after a sync', () => {
  test('flows of both families that lost their target are deleted, and it is told how long that took', async () => {
    hook.afterSync(stateWith(dns, dns6))
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([])
    expect(told()).toEqual(['2 of 2 in 20 ms'])
    expect(reports[0]?.families).toEqual([
      { family: 'IPv4', deleted: 1, durationMs: 10 },
      { family: 'IPv6', deleted: 1, durationMs: 10 },
    ])
  })

  test('the state is read at once: what changes it later has no part in this', async () => {
    const state = stateWith(dns, dns6)
    hook.afterSync(state)
    state.services.clear()
    await hook.beforeSync()
    expect(told()).toEqual(['2 of 2 in 20 ms'])
  })

  test('fronts that a log says were there are looked at', async () => {
    hook = createHook({ formerFronts: () => frontsOf(servicePortOf(dns)) })
    hook.afterSync(stateWith())
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW6])
  })

  test('fronts of the time before the start are looked for until that succeeds', async () => {
    hook = createHook({ formerFronts: () => frontsOf(servicePortOf(dns)) })
    conntrack.intercept = BUSY
    hook.afterSync(stateWith())
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW, FLOW6])
    conntrack.intercept = succeed
    hook.afterSync(stateWith())
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW6])
  })

  test('the next sync waits until it is done', async () => {
    let finish: () => void = () => undefined
    conntrack.intercept = (args) =>
      args.startsWith('-D -f ipv4') ? new Promise((resolve) => (finish = () => resolve(undefined))) : undefined
    hook.afterSync(stateWith(dns))
    let waits = true
    const waited = hook.beforeSync().then(() => (waits = false))
    await vi.waitFor(() => expect(conntrack.commands).toHaveLength(2))
    expect(waits).toBe(true)
    finish()
    await waited
    expect(told()).toEqual(['1 of 1 in 10 ms'])
  })

  test('the next sync does not wait for all of many deletions', async () => {
    conntrack.add(...[6, 7, 8].map((pod) => `10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.${pod}:53`))
    const held: (() => void)[] = []
    conntrack.intercept = (args) =>
      args.startsWith('-D') ? new Promise((resolve) => held.push(() => resolve(undefined))) : undefined
    hook.afterSync(stateWith(dns))
    const waited = hook.beforeSync()
    await vi.waitFor(() => expect(held).toHaveLength(2))
    expect(pauses.map(({ ms }) => ms)).toEqual([1000])
    pauses[0]?.end()
    await Promise.resolve()
    for (const release of held) release()
    await waited
    expect(told()).toEqual(['2 of 4 in 15 ms, 2 left'])
    conntrack.intercept = succeed
    hook.afterSync(stateWith())
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW6])
  })

  test('a call that hangs is given up, and later syncs do not wait for another one', async () => {
    let hangs = true
    conntrack.intercept = () => (hangs ? new Promise(() => undefined) : undefined)
    hook.afterSync(stateWith(dns))
    const waited = hook.beforeSync()
    expect(pauses.map(({ ms }) => ms)).toEqual([1000])
    pauses[0]?.end()
    await vi.waitFor(() => expect(pauses.map(({ ms }) => ms)).toEqual([1000, 4000]))
    pauses[1]?.end()
    await waited
    expect(told()).toEqual(['TIMED_OUT, 0 of 0, no retry'])

    hook.afterSync(stateWith())
    await vi.waitFor(() => expect(conntrack.commands).toHaveLength(2))
    time += 1000
    const again = hook.beforeSync()
    expect(pauses.at(-1)?.ms).toBe(0)
    pauses.at(-1)?.end()
    await again
    hangs = false
    hook.afterSync(stateWith())
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW6])
    expect(told().slice(2)).toEqual(['1 of 1 in 10 ms'])
  })

  test('two in a row come one after the other', async () => {
    hook.afterSync(stateWith(dns))
    hook.afterSync(stateWith(dns6))
    await hook.beforeSync()
    expect(told()).toEqual(['1 of 1 in 10 ms', '1 of 1 in 15 ms'])
    expect(conntrack.flows()).toEqual([])
  })
})

describe('a failure', () => {
  test('is told, and tried again after longer and longer pauses until it succeeds', async () => {
    conntrack.intercept = BUSY
    hook.afterSync(stateWith(dns))
    for (const count of [1, 2, 3, 4]) {
      await vi.waitFor(() => expect(pauses).toHaveLength(count))
      if (count === 4) conntrack.intercept = succeed
      pauses.at(-1)?.end()
    }
    await vi.waitFor(() => expect(conntrack.flows()).toEqual([FLOW6]))
    await hook.beforeSync()
    expect(told()).toEqual([
      'FAILED, 0 of 0, again in 1000 ms',
      'FAILED, 0 of 0, again in 2000 ms',
      'FAILED, 0 of 0, again in 3000 ms',
      'FAILED, 0 of 0, again in 3000 ms',
      '1 of 1 in 10 ms',
    ])
  })

  test('in one family does not keep the other from what it needs', async () => {
    conntrack.intercept = (args) => (args.includes('-f ipv4') ? BUSY() : undefined)
    hook.afterSync(stateWith(dns, dns6))
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW])
    expect(told()).toEqual([expect.stringMatching(/^FAILED, 1 of 1, /)])
  })

  test('is not tried again while rules change: the next sync that succeeds makes up for it', async () => {
    conntrack.intercept = BUSY
    hook.afterSync(stateWith(dns))
    await vi.waitFor(() => expect(pauses).toHaveLength(1))
    await hook.beforeSync()
    conntrack.intercept = succeed
    expect(conntrack.commands).toHaveLength(1)
    hook.afterSync(stateWith())
    await hook.beforeSync()
    expect(conntrack.flows()).toEqual([FLOW6])
  })

  test('for lack of the program is told once, and asked for again at each sync', async () => {
    conntrack.intercept = fail('exec of "conntrack" failed: No such file or directory')
    hook.afterSync(stateWith(dns))
    await vi.waitFor(() => expect(reports).toHaveLength(1))
    for (const ports of [[dns], [], [dns]]) {
      hook.afterSync(stateWith(...ports))
      await hook.beforeSync()
    }
    expect(told()).toEqual(['NOT_FOUND, 0 of 0, no retry'])
    expect(conntrack.commands).toHaveLength(4)
    conntrack.intercept = succeed
    hook.afterSync(stateWith(dns))
    await hook.beforeSync()
    expect(told().slice(1)).toEqual(['1 of 1 in 10 ms'])
    conntrack.intercept = fail('exec of "conntrack" failed: No such file or directory')
    hook.afterSync(stateWith(dns))
    await hook.beforeSync()
    expect(told().slice(2)).toEqual(['NOT_FOUND, 0 of 0, no retry'])
  })
})

test('closing ends a retry that was to come, and tells nothing more', async () => {
  conntrack.intercept = BUSY
  hook.afterSync(stateWith(dns))
  await vi.waitFor(() => expect(pauses).toHaveLength(1))
  await hook.close()
  hook.afterSync(stateWith(dns))
  await hook.close()
  expect(told()).toHaveLength(1)
})
