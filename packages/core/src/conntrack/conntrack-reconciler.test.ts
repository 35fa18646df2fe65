import { beforeEach, describe, expect, test } from 'vitest'
import { conntrackCommands } from '../io/conntrack/conntrack-commands.js'
import { DEFAULT_PROXY_CONFIG } from '../model/proxy-config.js'
import { frontsOf, type Front } from '../state/state.js'
import { servicePortOf, stateOf, type PortDescription } from '../testing/state-builder.js'
import { createConntrackReconciler, type ConntrackReconciler, type Reconciliation } from './conntrack-hook.js'
import { servedFrontsOf } from './stale-flows.js'
import { fakeConntrack, type FakeConntrack } from './test-support/fake-conntrack.js'

const dns: PortDescription = { is: 'kube-system/dns', protocol: 'UDP', clusterIP: '10.96.0.10', port: 53 }
const on = (...endpoints: readonly string[]): PortDescription => ({ ...dns, endpoints })

const A = '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53'
const B = '10.0.1.3:4000 > 10.96.0.10:53 > 10.244.1.5:53'
const C = '10.0.1.4:4000 > 10.96.0.10:53 > 10.244.1.6:53'
const FOREIGN = '10.244.1.5:4000 > 9.9.9.9:53'

let conntrack: FakeConntrack
let reconciler: ConntrackReconciler
let time: number

beforeEach(() => {
  conntrack = fakeConntrack(A, B, C, FOREIGN)
  time = 0
  reconciler = createConntrackReconciler({ flows: conntrackCommands({ run: conntrack.run }), now: () => time })
})

const reconcile = async (
  ports: readonly PortDescription[],
  removedFronts: readonly Front[] = [],
): Promise<Reconciliation> => {
  const served = servedFrontsOf({ state: stateOf({ ports }), config: DEFAULT_PROXY_CONFIG, family: 'IPv4' })
  return reconciler.reconcile({ served, removedFronts })
}

interface NodePortSettings {
  readonly nodeAddresses?: readonly string[]
  readonly localhostNodePorts?: boolean
}

const failing = (pattern: RegExp) => (args: string) =>
  pattern.test(args) ? Promise.resolve({ exitCode: 1, stderr: 'conntrack: Operation failed: busy' }) : undefined

describe('reconciling', () => {
  test('deletes what leads to endpoints that are gone, one command for those that go to the same', async () => {
    expect(await reconcile([on('10.244.1.6:53')])).toEqual({ listed: 4, deleted: 2, left: 0 })
    expect(conntrack.flows()).toEqual([C, FOREIGN])
    expect(conntrack.commands.map((command) => command.slice(0, 2))).toEqual(['-L', '-D'])
  })

  test('leaves all flows where they are when every target serves', async () => {
    expect(await reconcile([on('10.244.1.5:53', '10.244.1.6:53')])).toEqual({ listed: 4, deleted: 0, left: 0 })
    expect(conntrack.flows()).toHaveLength(4)
  })

  test('deletes the flows of a Service that has no endpoints any more', async () => {
    expect(await reconcile([on()])).toEqual({ listed: 4, deleted: 3, left: 0 })
    expect(conntrack.flows()).toEqual([FOREIGN])
  })

  test('deletes the flows of a Service that was there before', async () => {
    await reconcile([on('10.244.1.5:53', '10.244.1.6:53')])
    expect(await reconcile([])).toEqual({ listed: 4, deleted: 3, left: 0 })
    expect(conntrack.flows()).toEqual([FOREIGN])
  })

  test('deletes the flows of a Service that a log says was there, in this family', async () => {
    const front = frontsOf(servicePortOf(dns))
    const ofOther = frontsOf(servicePortOf({ ...dns, clusterIP: 'fd00:96::a' }))
    expect(await reconcile([], ofOther)).toEqual({ listed: 0, deleted: 0, left: 0 })
    expect(await reconcile([], front)).toEqual({ listed: 4, deleted: 3, left: 0 })
  })

  test('leaves the flows of an address that was never a service’s', async () => {
    await reconcile([{ ...dns, clusterIP: '10.96.0.99' }])
    expect(await reconcile([])).toEqual({ listed: 4, deleted: 0, left: 0 })
  })

  test('does not ask the kernel where there is no UDP service and was none', async () => {
    await reconcile([{ ...dns, protocol: 'TCP' }])
    expect(conntrack.commands).toEqual([])
  })

  test('counts a flow that was gone by itself as no failure, and not as deleted', async () => {
    conntrack.intercept = (args) => {
      if (!args.startsWith('-D')) return undefined
      conntrack.intercept = () => undefined
      return conntrack.run({ argv: ['conntrack', ...args.split(' ')] }).then(() => undefined)
    }
    expect(await reconcile([on('10.244.1.6:53')])).toEqual({ listed: 4, deleted: 0, left: 0 })
    expect(conntrack.flows()).toEqual([C, FOREIGN])
  })
})

describe('looking again', () => {
  const both = on('10.244.1.5:53', '10.244.1.6:53')
  const looks = () => conntrack.commands.filter((command) => command.startsWith('-L')).length

  beforeEach(async () => {
    await reconcile([both])
    await reconcile([both])
  })

  test('is left out for a minute while the same serves the same, and that was looked at twice', async () => {
    expect(await reconcile([both, { ...on('10.244.1.7:53'), is: 'shop/web', protocol: 'TCP' }])).toMatchObject({
      listed: 0,
    })
    time += 59_999
    expect(await reconcile([on('10.244.1.6:53', '10.244.1.5:53')])).toMatchObject({ listed: 0 })
    expect(looks()).toBe(2)
    time += 1
    conntrack.add('10.0.1.9:4000 > 10.96.0.10:53 > 10.244.1.9:53')
    expect(await reconcile([both])).toMatchObject({ listed: 5, deleted: 1 })
    expect(await reconcile([both])).toMatchObject({ listed: 4, deleted: 0 })
  })

  test.each([
    ['a target is gone', [on('10.244.1.5:53')], []],
    ['a target is another', [on('10.244.1.5:53', '10.244.1.7:53')], []],
    ['a front is new', [both, { ...on('10.244.1.5:53'), is: 'shop/dns', clusterIP: '10.96.0.11' }], []],
    ['a front is another', [{ ...both, clusterIP: '10.96.0.11' }], []],
    ['a Service is gone', [], []],
    ['a log knows of another', [both], frontsOf(servicePortOf({ ...dns, clusterIP: '10.96.0.12' }))],
  ])('is done when %s, and once more to be sure', async (_, ports, removed) => {
    await reconcile(ports, removed)
    await reconcile(ports)
    expect(looks()).toBe(4)
  })

  test('is done after a failure', async () => {
    time += 60_000
    conntrack.intercept = failing(/^-L/)
    await reconcile([both])
    conntrack.intercept = () => undefined
    expect(await reconcile([both])).toMatchObject({ listed: 4 })
  })

  test.each([
    ['the node has another address', { nodeAddresses: ['192.168.55.11'] }],
    ['node ports answer on localhost no more', { localhostNodePorts: false }],
  ])('is done when %s', async (_, change) => {
    const look = async ({ nodeAddresses = ['192.168.55.10'], localhostNodePorts = true }: NodePortSettings) => {
      const config = { ...DEFAULT_PROXY_CONFIG, localhostNodePorts }
      const served = servedFrontsOf({ state: stateOf({ ports: [both] }), config, family: 'IPv4', nodeAddresses })
      return (await reconciler.reconcile({ served })).listed
    }
    expect([await look({}), await look({}), await look({}), await look(change)]).toEqual([4, 4, 0, 4])
  })
})

describe('a failure', () => {
  test('of one deletion does not stop the others, and the next call makes up for it', async () => {
    await reconcile([on('10.244.1.5:53', '10.244.1.6:53')])
    conntrack.intercept = failing(/^-D.*10\.244\.1\.5/)
    expect(await reconcile([])).toMatchObject({ listed: 4, deleted: 1, failure: { code: 'FAILED' } })
    expect(conntrack.flows()).toEqual([A, B, FOREIGN])
    conntrack.intercept = () => undefined
    expect(await reconcile([])).toEqual({ listed: 3, deleted: 2, left: 0 })
    expect(conntrack.flows()).toEqual([FOREIGN])
  })

  test('of the listing forgets nothing that was removed until one succeeds', async () => {
    conntrack.intercept = failing(/^-L/)
    const seenWhileFailing = { ...on('10.244.1.5:53'), clusterIP: '10.96.0.20' }
    const ofThat = '10.0.1.2:4000 > 10.96.0.20:53 > 10.244.1.5:53'
    conntrack.add(ofThat)
    expect(await reconcile([on('10.244.1.5:53')])).toMatchObject({ failure: { code: 'FAILED' } })
    expect(await reconcile([seenWhileFailing])).toMatchObject({ failure: { code: 'FAILED' } })
    expect(await reconcile([])).toMatchObject({ failure: { code: 'FAILED' } })
    conntrack.intercept = () => undefined
    expect(await reconcile([])).toEqual({ listed: 5, deleted: 4, left: 0 })
    expect(conntrack.flows()).toEqual([FOREIGN])
  })

  test('is over when nothing is left: an address that somebody else translates later is theirs', async () => {
    const other: PortDescription = { ...dns, is: 'shop/dns', clusterIP: '10.96.0.11' }
    await reconcile([on('10.244.1.5:53', '10.244.1.6:53')])
    for (const endpoints of [['10.244.1.1:53'], ['10.244.1.2:53']]) await reconcile([{ ...other, endpoints }])
    conntrack.add(A)
    expect(await reconcile([other])).toEqual({ listed: 2, deleted: 0, left: 0 })
    expect(conntrack.flows()).toEqual([FOREIGN, A])
  })

  test('of a Service that was deleted is looked for once more: a packet may have been on its way', async () => {
    await reconcile([on('10.244.1.5:53', '10.244.1.6:53')])
    await reconcile([])
    conntrack.add(A)
    expect(await reconcile([])).toEqual({ listed: 2, deleted: 1, left: 0 })
    expect(await reconcile([])).toEqual({ listed: 0, deleted: 0, left: 0 })
  })
})

test('others that have to go on do not wait for all of it, and the rest is not forgotten', async () => {
  const targets = ['10.244.1.1', '10.244.1.2', '10.244.1.3', '10.244.1.4', '10.244.1.5']
  conntrack = fakeConntrack(...targets.map((target) => `10.0.1.2:4000 > 10.96.0.10:53 > ${target}:53`))
  reconciler = createConntrackReconciler({ flows: conntrackCommands({ run: conntrack.run }), concurrency: 1 })
  const on5 = on(...targets.map((target) => `${target}:53`))
  const config = DEFAULT_PROXY_CONFIG
  await reconcile([on5])
  const served = servedFrontsOf({ state: stateOf({ ports: [] }), config, family: 'IPv4' })
  const yieldTo = AbortSignal.abort()
  expect(await reconciler.reconcile({ served, yieldTo })).toEqual({ listed: 5, deleted: 1, left: 4 })
  expect(await reconciler.reconcile({ served, yieldTo })).toEqual({ listed: 4, deleted: 1, left: 3 })
  expect(await reconcile([])).toEqual({ listed: 3, deleted: 3, left: 0 })
  expect(conntrack.flows()).toEqual([])
})

test('no more commands run at a time than are allowed', async () => {
  let running = 0
  let most = 0
  conntrack = fakeConntrack(...Array.from({ length: 20 }, (_, n) => `10.0.1.2:4000 > 10.96.0.10:53 > 10.244.9.${n}:53`))
  conntrack.intercept = async () => {
    most = Math.max(most, ++running)
    await Promise.resolve()
    running--
    return undefined
  }
  const flows = conntrackCommands({ run: conntrack.run })
  reconciler = createConntrackReconciler({ flows, concurrency: 3 })
  expect(await reconcile([on()])).toEqual({ listed: 20, deleted: 20, left: 0 })
  expect(most).toBe(3)
})
