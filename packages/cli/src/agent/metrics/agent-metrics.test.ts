import { NO_SEQ, seq } from '@pointsman/core'
import { service, stateOf } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from '../agent-event.js'
import { changed, listed, synced, watch } from '../health/test-support/agent-events.js'
import { START, toldMetrics } from './test-support/told-metrics.js'

const web = service({ name: 'web' })
const v4 = '{ip_family="IPv4"}'
const v6 = '{ip_family="IPv6"}'

describe('policies Local', () => {
  it('are counted where all endpoints are elsewhere', async () => {
    const { at, read } = toldMetrics()
    const elsewhere = ['10.244.2.5:80@node-b']
    const local = { internalTrafficPolicy: 'Local', endpoints: elsewhere } as const
    const state = stateOf({
      node: {},
      ports: [
        { is: 'shop/a:http', clusterIP: '10.96.0.1', ...local },
        { is: 'shop/a:admin', clusterIP: '10.96.0.1', port: 81, ...local },
        { is: 'shop/b:http', clusterIP: '10.96.0.2', ...local, externalTrafficPolicy: 'Local', nodePort: 30_002 },
        { is: 'shop/here:http', clusterIP: '10.96.0.3', ...local, endpoints: ['10.244.1.5:80@node-a'] },
        { is: 'shop/none:http', clusterIP: '10.96.0.4', ...local, endpoints: [] },
        { is: 'shop/cluster:http', clusterIP: '10.96.0.5', endpoints: elsewhere },
        { is: 'shop/six:http', clusterIP: 'fd00::5', ...local, endpoints: ['[fd00::1]:80@node-b'] },
      ],
    })
    at(0, synced({ toSeq: 1, startedAt: START, endedAt: START, state }))
    const { value } = await read()
    const of = (policy: string, name: string): number | undefined =>
      value(`kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="${name}",traffic_policy="${policy}"}`)
    expect([of('internal', 'IPv4'), of('external', 'IPv4'), of('internal', 'IPv6')]).toEqual([3, 1, 1])
  })
})

describe('conntrack', () => {
  it('is told by family, also when it failed', async () => {
    const { at, read } = toldMetrics()
    const counts = { listed: 9, deleted: 3, left: 0, durationMs: 30 }
    const families = [
      { family: 'IPv4', deleted: 3, durationMs: 20 },
      { family: 'IPv6', deleted: 0, durationMs: 10 },
    ] as const
    expect((await read()).value(`kubeproxy_conntrack_reconciler_deleted_entries_total${v4}`)).toBe(0)
    at(0, { type: 'conntrack', report: { type: 'reconciled', ...counts, families } })
    const { value, buckets } = await read()
    expect(value(`kubeproxy_conntrack_reconciler_deleted_entries_total${v4}`)).toBe(3)
    expect(value(`kubeproxy_conntrack_reconciler_sync_duration_seconds_sum${v6}`)).toBe(0.01)
    expect(buckets('kubeproxy_conntrack_reconciler_sync_duration_seconds')).toHaveLength(15)
  })
})

describe('packet counters', () => {
  const DROPPED = 'kubeproxy_iptables_ct_state_invalid_dropped_packets_total'
  const ACCEPTED = 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total'

  it('are what the kernel says when somebody asks; what it does not know is left out', async () => {
    const counters: Record<string, number> = { ct_state_invalid_dropped_pkts: 7 }
    const { read } = toldMetrics({ counters })
    expect((await read()).value(DROPPED)).toBe(7)
    expect((await read()).value(ACCEPTED)).toBeUndefined()
    counters['ct_state_invalid_dropped_pkts'] = 3
    counters['localhost_nps_accepted_pkts'] = 1
    expect((await read()).value(DROPPED)).toBe(3)
    expect((await read()).value(ACCEPTED)).toBe(1)
  })

  it('are left out, and nothing else, when they cannot be read', async () => {
    const { value } = await toldMetrics({ counters: new Error('nfacct: not found') }).read()
    expect(value(DROPPED)).toBeUndefined()
    expect(value('pointsman_head_seq')).toBe(0)
  })
})

describe('the API server', () => {
  it('is told by requests and their outcomes', async () => {
    const { at, read } = toldMetrics()
    const request = { method: 'GET', host: '10.0.0.1:6443', code: '200', durationMs: 250 } as const
    at(0, { type: 'request', request }, { type: 'request', request: { ...request, code: '<error>', durationMs: 2 } })
    const { value, buckets } = await read()
    expect(value('rest_client_requests_total{code="200",method="GET",host="10.0.0.1:6443"}')).toBe(1)
    expect(value('rest_client_requests_total{code="<error>",method="GET",host="10.0.0.1:6443"}')).toBe(1)
    const name = 'rest_client_request_duration_seconds'
    expect(value(`${name}_sum{verb="GET",host="10.0.0.1:6443"}`)).toBeCloseTo(0.252)
    expect(buckets(name)).toEqual(['0.005', '0.025', '0.1', '0.25', '0.5', '1', '2', '4', '8', '15', '30', '60'])
  })

  it('is told by the age of each watch, at the moment of the reading', async () => {
    const { at, read } = toldMetrics()
    expect((await read()).value('pointsman_watch_up{kind="Service"}')).toBe(0)
    at(0, watch('Service', 'watching', { heardAt: START }), watch('Node', 'lost', { heardAt: START - 500 }))
    at(90_000)
    const { value } = await read()
    expect(value('pointsman_watch_age_seconds{kind="Service"}')).toBe(90)
    expect(value('pointsman_watch_age_seconds{kind="Node"}')).toBe(90.5)
    expect(value('pointsman_watch_age_seconds{kind="EndpointSlice"}')).toBeUndefined()
    expect(value('pointsman_watch_up{kind="Service"}')).toBe(1)
    expect(value('pointsman_watch_up{kind="Node"}')).toBe(0)
  })
})

describe('what only Pointsman tells', () => {
  it('is how far the rules are, and how old the state was that it began with', async () => {
    const { at, read } = toldMetrics()
    at(0, { type: 'start', at: START, fromLog: { seq: seq(40), at: START - 120_000, rebooted: false } })
    const first = await read()
    expect(first.value('pointsman_head_seq')).toBe(40)
    expect(first.value('pointsman_applied_seq')).toBe(NO_SEQ)
    expect(first.value('pointsman_start_state_age_seconds')).toBe(120)
    at(0, listed('Service', { seq: 41, at: START }), synced({ toSeq: 41, startedAt: START, endedAt: START }))
    at(0, changed(web, { seq: 42, at: START }))
    const { value } = await read()
    expect([value('pointsman_head_seq'), value('pointsman_applied_seq')]).toEqual([42, 41])
    expect(value('pointsman_behind_seconds')).toBe(0)
    at(7000)
    expect((await read()).value('pointsman_behind_seconds')).toBe(7)
    at(7000, synced({ toSeq: 42, startedAt: START, endedAt: START }))
    expect((await read()).value('pointsman_behind_seconds')).toBe(0)
  })

  it('is drift, found and mended', async () => {
    const { at, read } = toldMetrics()
    at(0, { type: 'drift', drifts: [], at: START })
    at(0, { type: 'drift', drifts: [{ family: 'IPv4', chains: ['nat A', 'nat B'], bytes: 9 }], at: START })
    at(0, { type: 'drift', drifts: [], at: START, error: new Error('no'), waitedMs: 2500 })
    const { value } = await read()
    expect(value('pointsman_drift_checks_total')).toBe(3)
    expect(value('pointsman_drift_failures_total')).toBe(1)
    expect(value('pointsman_drift_checks_postponed_total')).toBe(1)
    expect(value('pointsman_drift_checks_postponed_seconds_total')).toBe(2.5)
    expect(value(`pointsman_drift_found_total${v4}`)).toBe(1)
    expect(value(`pointsman_drift_mended_chains_total${v4}`)).toBe(2)
    expect(value(`pointsman_drift_found_total${v6}`)).toBe(0)
  })

  it('is how the log is; what is lost adds up over its troubles', async () => {
    const { at, read } = toldMetrics()
    const degraded = { type: 'degraded', code: 'LOG_FULL', message: '', since: START } as const
    const log = (unwritten: number, lost: number): AgentEvent => ({
      type: 'log',
      health: { ...degraded, unwritten, lost },
    })
    at(0, log(5, 0), log(9, 2), log(9, 3))
    const during = await read()
    expect(during.value('pointsman_log_degraded')).toBe(1)
    expect(during.value('pointsman_log_unwritten_entries')).toBe(9)
    at(0, { type: 'log', health: { type: 'ok' } }, log(1, 1), { type: 'log', health: { type: 'ok' } })
    const { value } = await read()
    expect(value('pointsman_log_degraded')).toBe(0)
    expect(value('pointsman_log_unwritten_entries')).toBe(0)
    expect(value('pointsman_log_lost_entries_total')).toBe(4)
  })
})

describe('probes, process and build', () => {
  it('count what the health port answered', async () => {
    const { at, read } = toldMetrics()
    at(0, { type: 'probe', path: 'healthz', status: 503 }, { type: 'probe', path: 'livez', status: 200 })
    at(0, { type: 'probe', path: 'healthz', status: 503 })
    const { value } = await read()
    expect(value('kubeproxy_proxy_healthz_total{code="503"}')).toBe(2)
    expect(value('kubeproxy_proxy_livez_total{code="200"}')).toBe(1)
  })

  it('tell the process as Kubernetes components do, and leave out what is not known', async () => {
    const { value } = await toldMetrics().read()
    expect(value('process_cpu_seconds_total')).toBe(1.5)
    expect(value('process_resident_memory_bytes')).toBe(5e7)
    expect(value('process_start_time_seconds')).toBe(1000)
    expect([value('process_open_fds'), value('process_max_fds')]).toEqual([12, 1024])
    expect(value('process_virtual_memory_bytes')).toBeUndefined()
  })

  it('tell the version under the labels that Kubernetes has', async () => {
    const { text } = await toldMetrics().read()
    expect(text).toContain(
      'kubernetes_build_info{major="0",minor="1",git_version="v0.1.0",git_commit="abc123",git_tree_state="clean",' +
        'build_date="",go_version="node20.20.2",compiler="node",platform="linux/amd64"} 1',
    )
  })
})
