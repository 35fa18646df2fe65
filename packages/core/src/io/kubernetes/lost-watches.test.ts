import { afterEach, describe, expect, test } from 'vitest'
import { service } from '../../testing/manifests.js'
import { openTrial, type Trial, type TrialOptions } from '../../testing/source-trial.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource } from './kubernetes-source.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

let trial: Trial
const begin = (options: TrialOptions = {}): Trial =>
  (trial = openTrial({ kubernetesSource, createKnownObjects }, options))
afterEach(() => trial.close())

const web = (resource = 'web'): ReturnType<typeof service> => service({ name: resource })

describe('a watch that ends', () => {
  test('by its own time is watched again at once, and nobody is alarmed', async () => {
    const { server, run, said, asked } = begin({ streamingLists: false })
    await run(HOUR)
    expect(new Set(asked('Service').slice(1))).toEqual(new Set(['watch']))
    // From five to ten minutes each.
    expect(asked('Service').length).toBeGreaterThan(6)
    expect(asked('Service').length).toBeLessThan(14)
    expect(said('Service').filter((line) => /WATCH_LOST|lost/.test(line))).toEqual([])
    expect(server.open).toBe(3)
  })

  test('again and again as soon as it has begun is watched less and less often', async () => {
    const { server, run, said, asked } = begin({ resume: true })
    server.fault = () => ({ type: 'closed', afterBytes: 0 })
    await run(10 * MINUTE)
    expect(asked('Service').length).toBeLessThan(70)
    expect(said('Service').filter((line) => line.startsWith('WATCH_LOST'))).toHaveLength(1)
    expect(said('Service')).toContainEqual(expect.stringMatching(/^lost CLOSED_AT_ONCE/))
  })

  test('without a word is given up, and goes on from where it was', async () => {
    const { server, run, said, asked } = begin({ resume: true })
    server.put(web('a'))
    let first = true
    server.fault = ({ kind }) => {
      const fault = kind === 'Service' && first ? ({ type: 'silent', afterBytes: 10_000 } as const) : undefined
      if (kind === 'Service') first = false
      return fault
    }
    await run(1000)
    for (let i = 0; i < 30; i++) server.put(web('b'))
    await run(4 * MINUTE)
    expect(said('Service')).toContainEqual(expect.stringMatching(/^lost SILENT/))
    expect(asked('Service')).toEqual(['watch', 'watch'])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('in the midst of an event, of a character too, loses nothing', async () => {
    const { server, run, said, asked } = begin({ resume: true, pieces: () => 1 })
    let bytes = 0
    server.fault = ({ kind }) => (kind === 'Service' ? { type: 'closed', afterBytes: (bytes += 97) } : undefined)
    for (let i = 0; i < 5; i++) server.put(service({ name: 'schön-日本', labels: { größe: `${i}` } }))
    await run(HOUR)
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
    expect(new Set(asked('Service'))).toEqual(new Set(['watch']))
    expect(said('Service')).toContainEqual(expect.stringMatching(/^lost CLOSED_EARLY/))
  })

  test('with an error is said once, however often it is tried again', async () => {
    const { server, run, said, asked } = begin({ resume: true })
    server.fault = () => ({ type: 'unreachable' })
    await run(8 * HOUR)
    const attempts = asked('Service').length
    expect(attempts).toBeGreaterThan(960)
    expect(said('Service').filter((line) => line.startsWith('lost'))).toHaveLength(attempts)
    expect(said('Service').filter((line) => line.startsWith('WATCH_'))).toEqual([
      'WATCH_LOST: no response to the request (connect ECONNREFUSED)',
    ])
    server.fault = () => undefined
    server.put(web('a'))
    await run(3 * MINUTE)
    expect(said('Service').filter((line) => line.startsWith('WATCH_RESUMED'))).toEqual([
      expect.stringMatching(
        new RegExp(`^WATCH_RESUMED: watch resumed after 28\\d\\d\\d s \\(${attempts} NO_ANSWER\\)$`),
      ),
    ])
    expect(asked('Service').filter((what) => what !== 'watch')).toEqual([])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('every half minute is one loss, and ends when it has stayed for a minute', async () => {
    const { server, run, said } = begin({ resume: true })
    for (let i = 0; i < 40; i++) {
      await run(30_000)
      server.put(web('a'))
      server.breakAll()
    }
    const notices = (): readonly string[] => said('Service').filter((line) => line.startsWith('WATCH_'))
    expect(notices()).toEqual(['WATCH_LOST: no response to the request (read ECONNRESET)'])
    await run(3 * MINUTE)
    expect(notices().slice(1)).toEqual([
      expect.stringMatching(/^WATCH_RESUMED: watch resumed after 11\d\d s \(40 NO_ANSWER\)$/),
    ])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test.each([
    [1, ['watch', 'watch']],
    [2, ['watch', 'watch', 'watch']],
    [3, ['watch', 'watch', 'watch', 'streaming-list']],
  ])('with nonsense, %d times at one place, is tried again, and only then listed', async (times, expected) => {
    const { server, run, said, asked } = begin({ resume: true })
    server.put(web('a'))
    let left = times
    server.fault = ({ kind }) => (kind === 'Service' && left-- > 0 ? { type: 'garbled', atByte: 60 } : undefined)
    await run(MINUTE)
    expect(asked('Service')).toEqual(expected)
    expect(said('Service').filter((line) => line.startsWith('lost GARBLED'))).toHaveLength(times)
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })
})

describe('a server that refuses', () => {
  test.each([
    [401, 'UNAUTHORIZED', 'renew the token'],
    [403, 'FORBIDDEN', 'system:node-proxier'],
    [500, 'SERVER_ERROR', 'backing off'],
    [503, 'SERVER_ERROR', 'backing off'],
    [404, 'REFUSED', 'check its version'],
  ])('with %d is asked again, less and less often, and what to do is said once', async (status, code, words) => {
    const { server, run, said, asked } = begin()
    server.put(web('a'))
    server.fault = () => ({ type: 'refused', status })
    await run(HOUR)
    expect(asked('Service').length).toBeGreaterThan(100)
    expect(asked('Service').length).toBeLessThan(400)
    const notices = said('Service').filter((line) => line.startsWith('WATCH_LOST'))
    expect(notices).toEqual([expect.stringContaining(words)])
    expect(said('Service')).toContainEqual(expect.stringContaining(`lost ${code}`))
    server.fault = () => undefined
    await run(MINUTE)
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('with 429 is left alone for as long as it asks', async () => {
    const { server, run } = begin({ resume: true })
    server.fault = () => ({ type: 'refused', status: 429, retryAfter: '20' })
    await run(HOUR)
    const times = server.requests
      .filter(({ kind, asked }) => kind === 'Service' && asked === 'watch')
      .map(({ at }) => at)
    const pauses = times.slice(1).map((at, i) => at - (times[i] ?? 0))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(20_000)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(50_000)
  })

  test('that comes back is not flooded: however long it was away, each kind asks once', async () => {
    const { server, run, clock } = begin()
    for (let i = 0; i < 20; i++) server.put(web(`s${i}`))
    await run(MINUTE)
    server.fault = () => ({ type: 'unreachable' })
    await run(HOUR)
    const back = clock.now()
    server.fault = () => undefined
    await run(MINUTE)
    expect(server.requests.filter(({ at }) => at >= back).length).toBeLessThanOrEqual(6)
    expect(server.open).toBe(3)
  })
})
