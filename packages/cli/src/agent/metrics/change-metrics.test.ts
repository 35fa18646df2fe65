import { node, service, slice } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from '../agent-event.js'
import { changed, failed, listed, synced } from '../health/test-support/agent-events.js'
import { START, toldMetrics } from './test-support/told-metrics.js'

const web = service({ name: 'web' })
const webSlice = slice({ name: 'web-4', service: 'web', endpoints: ['10.244.1.5'] })
const webSlice6 = slice({ name: 'web-6', service: 'web', addressType: 'IPv6', endpoints: ['fd00::5'] })
const start: AgentEvent = { type: 'start', at: START }
const v4 = '{ip_family="IPv4"}'
const v6 = '{ip_family="IPv6"}'

describe('changes', () => {
  const services = 'kubeproxy_sync_proxy_rules_service_changes'
  const endpoints = 'kubeproxy_sync_proxy_rules_endpoint_changes'

  it('are counted as they come, and pend until a sync has carried them', async () => {
    const { at, read } = toldMetrics()
    at(0, changed(web, { seq: 1, at: START }), changed(webSlice, { seq: 2, at: START }))
    at(0, changed(webSlice6, { seq: 3, at: START }), listed('Service', { seq: 4, at: START }))
    at(0, changed(node({ name: 'node-a' }), { seq: 5, at: START }))
    const before = await read()
    expect([`${services}_total`, `${services}_pending`].map(before.value)).toEqual([1, 1])
    expect([`${endpoints}_total`, `${endpoints}_pending`].map(before.value)).toEqual([2, 2])
    at(10, failed({ toSeq: 2, startedAt: START, endedAt: START + 10 }))
    expect((await read()).value(`${services}_pending`)).toBe(1)
    at(20, synced({ toSeq: 2, startedAt: START, endedAt: START + 20 }))
    const after = await read()
    expect([`${services}_total`, `${services}_pending`].map(after.value)).toEqual([1, 0])
    expect([`${endpoints}_total`, `${endpoints}_pending`].map(after.value)).toEqual([2, 1])
  })

  it('do not count slices of names, nor of a family that is not synced', async () => {
    const { at, read } = toldMetrics({ families: ['IPv4'] })
    const fqdn = slice({ name: 'web-f', service: 'web', addressType: 'FQDN', endpoints: ['a.example'] })
    at(0, changed(webSlice6, { seq: 1, at: START }), changed(fqdn, { seq: 2, at: START }))
    expect((await read()).value(`${endpoints}_total`)).toBe(0)
  })

  it('tell when a sync was last asked for: at the start, and by each', async () => {
    const { at, read } = toldMetrics()
    const queued = 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds'
    at(0, start)
    expect((await read()).value(`${queued}${v6}`)).toBe(START / 1000)
    at(5000, changed(webSlice, { seq: 1, at: START + 5000 }))
    expect((await read()).value(`${queued}${v4}`)).toBe(START / 1000 + 5)
    expect((await read()).value(`${queued}${v6}`)).toBe(START / 1000)
    at(6000, changed(web, { seq: 2, at: START + 6000 }))
    expect((await read()).value(`${queued}${v6}`)).toBe(START / 1000 + 6)
  })

  it('are timed from the log to the rules', async () => {
    const { at, read } = toldMetrics()
    at(0, changed(web, { seq: 1, at: START }), changed(webSlice, { seq: 2, at: START + 400 }))
    at(0, changed(webSlice, { seq: 3, at: START + 900 }))
    at(1000, synced({ toSeq: 2, startedAt: START + 800, endedAt: START + 1000 }))
    const { value } = await read()
    expect(value('pointsman_event_to_rules_seconds_sum')).toBeCloseTo(1.6)
    expect(value('pointsman_event_to_rules_seconds_count')).toBe(2)
  })
})
