import { Counter, Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import type { Answer, HttpRequest } from './http-server.js'
import { metricsHandler, type MetricsServerAnswers } from './metrics-server.js'

const START = Date.UTC(2026, 10, 21, 9)

function serving(answers: Partial<MetricsServerAnswers> = {}) {
  const registry = new Registry()
  new Counter({ name: 'things_total', help: 'Things.', registers: [registry] }).inc(3)
  const handler = metricsHandler({
    mode: 'iptables',
    registry,
    readyz: () => ({
      status: 503,
      body: {
        ready: false,
        currentTime: '2026-11-21T09:00:00.000Z',
        checks: {
          apiServer: { ok: false },
          watch: { ok: false, kinds: {} },
          applied: { ok: false, head: 3, behindMs: 0 },
          audit: { ok: true },
        },
        log: { ok: true },
      },
    }),
    configz: () => ({ kind: 'KubeProxyConfiguration', mode: 'iptables' }),
    flagz: () => ({ 'nodeport-addresses': 'primary', 'cluster-cidr': '10.244.0.0/16' }),
    status: () => ({ version: '0.1.0', runtimeVersion: 'v20.20.2', startedAt: START, now: START + 3_725_000 }),
    lastRestores: () => [{ family: 'IPv4', at: START, lines: ['*nat', 'COMMIT'] }],
    lastFailed: () => [],
    profiling: false,
    setVerbosity: () => undefined,
    ...answers,
  })
  return (path: string, request: Partial<HttpRequest> = {}): Answer | Promise<Answer> => {
    const url = new URL(path, 'http://localhost')
    const asked = { method: 'GET', peer: '127.0.0.1', body: () => Promise.resolve(''), ...request }
    return handler({ path: url.pathname, query: url.searchParams, ...asked })
  }
}

describe('the metrics port', () => {
  it('serves the registry as Prometheus reads it', async () => {
    const answer = await serving()('/metrics')
    expect(answer.headers['Content-Type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(answer.body).toContain('\nthings_total 3\n')
  })

  it('answers what kube-proxy answers on its own /healthz and /proxyMode', async () => {
    const get = serving()
    const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' }
    expect(await get('/healthz')).toEqual({ status: 200, headers, body: 'ok' })
    expect(await get('/healthz/ping')).toMatchObject({ status: 200, body: 'ok' })
    expect(await get('/healthz?verbose')).toMatchObject({ body: '[+]ping ok\nhealthz check passed\n' })
    expect(await get('/proxyMode')).toEqual({ status: 200, headers, body: 'iptables' })
  })

  it('counts its health checks under /metrics/slis, from nothing again after a DELETE', async () => {
    const get = serving()
    await get('/healthz')
    await get('/healthz')
    const success = 'kubernetes_healthchecks_total{name="ping",status="success",type="healthz"}'
    const { body } = await get('/metrics/slis')
    expect(body).toContain('kubernetes_healthcheck{name="ping",type="healthz"} 1')
    expect(body).toContain(`${success} 2`)
    expect(await get('/metrics/slis', { method: 'DELETE' })).toMatchObject({ body: 'metrics reset\n' })
    expect((await get('/metrics/slis')).body).not.toContain(success)
  })

  it('serves the configuration under the name of its API group', async () => {
    const { headers, body } = await serving()('/configz')
    expect(headers['Content-Type']).toBe('application/json')
    expect(JSON.parse(body)).toEqual({
      'kubeproxy.config.k8s.io': { kind: 'KubeProxyConfiguration', mode: 'iptables' },
    })
  })

  it('serves flags in order, and how long it runs', async () => {
    const get = serving()
    expect((await get('/flagz')).body).toMatch(/\ncluster-cidr=10\.244\.0\.0\/16\nnodeport-addresses=primary\n$/)
    const { body } = await get('/statusz')
    expect(body).toContain('\nUp: 1 hr 02 min 05 sec\n')
    expect(body).toContain('\nBinary version: 0.1.0\n')
    expect(body).toMatch(/\nPaths: \/configz .*\/healthz .*\/readyz /)
  })

  it('answers /readyz with its status', async () => {
    const { status, body } = await serving()('/readyz')
    expect(status).toBe(503)
    expect(JSON.parse(body)).toMatchObject({ ready: false, checks: { applied: { head: 3 } } })
  })

  it('shows restores to this machine alone', async () => {
    const get = serving()
    expect(await get('/debug/last-restore')).toMatchObject({ status: 200 })
    expect((await get('/debug/last-restore', { peer: '::1' })).body).toMatch(/\n\*nat\nCOMMIT\n$/)
    for (const path of ['/debug/last-restore', '/debug/last-failed']) {
      const refused = await get(path, { peer: '10.0.0.7' })
      expect(refused).toMatchObject({ status: 403 })
      expect(refused.body).not.toContain('nat')
    }
    expect(await get('/debug/last-failed')).toMatchObject({ status: 404, body: 'no restore has failed\n' })
  })

  it('sets the verbosity where profiling is on', async () => {
    const set: number[] = []
    const put = (text: string): Partial<HttpRequest> => ({ method: 'PUT', body: () => Promise.resolve(text) })
    const setVerbosity = (verbosity: number): void => void set.push(verbosity)
    expect(await serving({ setVerbosity })('/debug/flags/v', put('4'))).toMatchObject({ status: 404 })
    const get = serving({ setVerbosity, profiling: true })
    expect(await get('/debug/flags/v', put('4\n'))).toMatchObject({ status: 200 })
    expect(await get('/debug/flags/v', put('loud'))).toMatchObject({ status: 400 })
    expect(await get('/debug/flags/v')).toMatchObject({ status: 405 })
    expect(set).toEqual([4])
  })

  it('takes a profile at a time where profiling is on, for this machine alone', async () => {
    expect(await serving()('/debug/pprof/heap')).toMatchObject({
      status: 404,
      body: expect.stringContaining('enableProfiling'),
    })
    const get = serving({ profiling: true })
    expect(await get('/debug/pprof/profile', { peer: '10.0.0.7' })).toMatchObject({ status: 403 })
    expect(await get('/debug/pprof/')).toMatchObject({ status: 404, body: 'profiles: profile, heap\n' })
    expect(await get('/debug/pprof/__proto__')).toMatchObject({ status: 404 })
    for (const seconds of ['0', '61', '-1', '1e1', 'x', '']) {
      expect(await get(`/debug/pprof/heap?seconds=${seconds}`)).toMatchObject({ status: 400 })
    }
    const [cpu, meanwhile] = await Promise.all([
      get('/debug/pprof/profile?seconds=1'),
      get('/debug/pprof/heap?seconds=1'),
    ])
    expect(meanwhile).toMatchObject({ status: 409 })
    expect(cpu.headers['Content-Disposition']).toBe('attachment; filename="pointsman.cpuprofile"')
    expect(JSON.parse(cpu.body)).toMatchObject({ nodes: expect.any(Array), startTime: expect.any(Number) })
    const heap = await get('/debug/pprof/heap?seconds=1')
    expect(JSON.parse(heap.body)).toMatchObject({ head: expect.any(Object), samples: expect.any(Array) })
  })

  it.each(['/', '/metrics/', '/metricsx', '/debug', '/toString', '/__proto__'])('knows nothing of %s', async (path) => {
    expect(await serving()(path)).toMatchObject({ status: 404, body: '404 page not found\n' })
  })
})
