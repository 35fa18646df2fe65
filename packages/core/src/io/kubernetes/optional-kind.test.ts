import { afterEach, expect, test } from 'vitest'
import { OBJECT_KINDS } from '../../model/kubernetes-object.js'
import { serviceCidr } from '../../testing/manifests.js'
import { openTrial, type Trial, type TrialOptions } from '../../testing/source-trial.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource } from './kubernetes-source.js'

const HOUR = 3_600_000
const V1 = '/apis/networking.k8s.io/v1/servicecidrs'
const V1BETA1 = '/apis/networking.k8s.io/v1beta1/servicecidrs'

let trial: Trial
const begin = (options: TrialOptions = {}): Trial =>
  (trial = openTrial({ kubernetesSource, createKnownObjects }, { kinds: OBJECT_KINDS, ...options }))
afterEach(() => trial.close())

const cidrs = (...list: readonly string[]) => serviceCidr({ name: 'kubernetes', cidrs: list })
const pathsAsked = ({ server }: Trial): readonly string[] => [
  ...new Set(server.requests.filter(({ kind }) => kind === 'ServiceCIDR').map(({ path }) => path)),
]
const noticesOf = ({ said }: Trial): readonly string[] =>
  said('ServiceCIDR').filter((line) => line.startsWith('KIND_UNAVAILABLE'))

test('ServiceCIDRs are listed and watched where the server has them', async () => {
  const { server, run, said, status } = begin()
  server.put(cidrs('10.96.0.0/12'))
  await run(1000)
  server.put(cidrs('10.96.0.0/12', 'fd00::/112'))
  await run(1000)
  expect(said('ServiceCIDR').filter((line) => /^(?:ADDED|MODIFIED|END)/.test(line))).toEqual([
    'ADDED kubernetes 101',
    'END 101',
    'MODIFIED kubernetes 102',
  ])
  expect(status('ServiceCIDR')).toMatchObject({ phase: 'watching' })
  expect(pathsAsked(trial)).toEqual([V1])
})

test('ServiceCIDRs are not asked for unless they are wanted', async () => {
  const { run, said } = begin({ kinds: ['Service', 'EndpointSlice', 'Node'] })
  await run(1000)
  expect([pathsAsked(trial), said('ServiceCIDR')]).toEqual([[], []])
})

test('an older server is asked for v1beta1, whose objects are read as those of v1', async () => {
  const { server, run, items } = begin()
  server.fault = ({ path }) => (path === V1 ? { type: 'refused', status: 404 } : undefined)
  server.put({ ...cidrs('10.96.0.0/12'), apiVersion: 'networking.k8s.io/v1beta1' })
  await run(1000)
  expect(pathsAsked(trial)).toEqual([V1, V1BETA1])
  const objects = items.flatMap((item) =>
    item.type === 'event' && item.event.type === 'ADDED' ? [item.event.object] : [],
  )
  expect(objects).toMatchObject([{ apiVersion: 'networking.k8s.io/v1', spec: { cidrs: ['10.96.0.0/12'] } }])
  expect(noticesOf(trial)).toEqual([])
})

test.each([
  [404, 'the server does not serve servicecidrs.networking.k8s.io; continuing without'],
  [403, 'permission denied: grant this user list and watch on servicecidrs.networking.k8s.io; continuing without'],
])('a server that answers %i is one notice, no lost watch, and asked again about every hour', async (code, message) => {
  const { server, run, said, status } = begin()
  server.fault = ({ kind }) => (kind === 'ServiceCIDR' ? { type: 'refused', status: code } : undefined)
  server.put(cidrs('10.96.0.0/12'))
  await run(1000)
  const before = server.requests.filter(({ kind }) => kind === 'ServiceCIDR').length
  await run(4 * HOUR)
  const after = server.requests.filter(({ kind }) => kind === 'ServiceCIDR').length
  expect(noticesOf(trial)).toEqual([`KIND_UNAVAILABLE: ${message}`])
  expect(said('ServiceCIDR')).toHaveLength(1)
  expect(status('ServiceCIDR')).toBeUndefined()
  expect((after - before) / before).toBeGreaterThanOrEqual(3)
  expect((after - before) / before).toBeLessThanOrEqual(6)
  server.fault = () => undefined
  await run(2 * HOUR)
  expect(said('ServiceCIDR')).toContain('ADDED kubernetes 101')
})

test('a server that is away is asked with backoff, and watched once it is there, without a word of its own', async () => {
  const { server, run, said } = begin()
  server.fault = () => ({ type: 'unreachable' })
  server.put(cidrs('10.96.0.0/12'))
  await run(120_000)
  expect(said('ServiceCIDR')).toEqual([])
  expect(server.requests.filter(({ kind }) => kind === 'ServiceCIDR').length).toBeLessThan(30)
  server.fault = () => undefined
  await run(60_000)
  expect(said('ServiceCIDR')).toContain('ADDED kubernetes 101')
})
