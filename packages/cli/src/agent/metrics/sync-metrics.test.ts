import { describe, expect, it } from 'vitest'
import { family } from '../health/test-support/agent-events.js'
import { START, toldMetrics } from './test-support/told-metrics.js'

const v4 = '{ip_family="IPv4"}'
const v6 = '{ip_family="IPv6"}'

describe('syncs', () => {
  const SYNC = 'kubeproxy_sync_proxy_rules_duration_seconds'
  const FULL = 'kubeproxy_sync_full_proxy_rules_duration_seconds'
  const PARTIAL = 'kubeproxy_sync_partial_proxy_rules_duration_seconds'

  it('are timed by family, full and partial ones apart, failed ones too', async () => {
    const { at, read } = toldMetrics()
    at(0, family('IPv4', { durationMs: 1500 }), family('IPv6', { durationMs: 3, full: false }))
    at(9, family('IPv4', { durationMs: 40, full: false, error: new Error('no') }))
    const { value } = await read()
    expect(value(`${SYNC}_sum${v4}`)).toBeCloseTo(1.54)
    expect(value(`${SYNC}_count${v4}`)).toBe(2)
    expect(value(`${FULL}_sum${v4}`)).toBe(1.5)
    expect(value(`${FULL}_count${v6}`)).toBeUndefined()
    expect(value(`${PARTIAL}_sum${v6}`)).toBe(0.003)
    expect(value(`${PARTIAL}_count${v4}`)).toBe(1)
  })

  it('fall into the buckets that kube-proxy has', async () => {
    const { at, read } = toldMetrics()
    at(0, family('IPv4', { durationMs: 1500 }))
    const { value, buckets } = await read()
    const [ms, s] = [
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
      [1.024, 2.048, 4.096, 8.192, 16.384],
    ] as const
    for (const name of [SYNC, FULL]) expect(buckets(name)).toEqual([...ms.map((each) => each / 1000), ...s].map(String))
    expect(value(`${SYNC}_bucket{le="1.024",ip_family="IPv4"}`)).toBe(0)
    expect(value(`${SYNC}_bucket{le="2.048",ip_family="IPv4"}`)).toBe(1)
  })

  it('tell when one last succeeded', async () => {
    const { at, read } = toldMetrics()
    at(1000, family('IPv4'), family('IPv6', { error: new Error('no') }))
    at(2000, family('IPv4', { error: new Error('no') }))
    const { value } = await read()
    expect(value(`kubeproxy_sync_proxy_rules_last_timestamp_seconds${v4}`)).toBe(START / 1000 + 1)
    expect(value(`kubeproxy_sync_proxy_rules_last_timestamp_seconds${v6}`)).toBeUndefined()
  })

  it('count restores, those that failed, and of these the partial ones', async () => {
    const { at, read } = toldMetrics()
    const failures = 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total'
    const partial = 'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total'
    expect((await read()).value(`${failures}${v4}`)).toBe(0)
    expect((await read()).value(`${partial}${v6}`)).toBe(0)
    at(
      0,
      family('IPv4', { restores: 5, failures: 3, partialFailures: 1 }),
      family('IPv4', { failures: 1, full: false }),
    )
    at(0, family('IPv4', { failures: 1, full: true }))
    const { value } = await read()
    expect(value(`${failures}${v4}`)).toBe(5)
    expect(value(`${partial}${v4}`)).toBe(2)
    expect(value(`pointsman_restores_total${v4}`)).toBe(7)
    expect(value(`${failures}${v6}`)).toBe(0)
  })

  it('tell rules in force and rules written by table, and the bytes that were sent', async () => {
    const { at, read } = toldMetrics()
    at(0, family('IPv4', { bytes: 5000 }), family('IPv6', { bytes: 7 }))
    const { value, buckets } = await read()
    const of = (table: string): string => `{table="${table}",ip_family="IPv4"}`
    expect(value(`kubeproxy_sync_proxy_rules_iptables_total${of('nat')}`)).toBe(40)
    expect(value(`kubeproxy_sync_proxy_rules_iptables_total${of('filter')}`)).toBe(4)
    expect(value(`kubeproxy_sync_proxy_rules_iptables_last${of('nat')}`)).toBe(20)
    expect(value(`kubeproxy_sync_proxy_rules_iptables_last${of('filter')}`)).toBe(2)
    expect(value(`pointsman_sync_restore_bytes_sum${v4}`)).toBe(5000)
    expect(buckets('pointsman_sync_restore_bytes').at(-1)).toBe(String(64 * 1024 * 1024))
  })
})
