import type { KubernetesObject } from '@pointsman/core'
import { slice } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from '../agent-event.js'
import { changed, failed, synced } from '../health/test-support/agent-events.js'
import { START, toldMetrics } from './test-support/told-metrics.js'

const webSlice = slice({ name: 'web-4', service: 'web', endpoints: ['10.244.1.5'] })
const webSlice6 = slice({ name: 'web-6', service: 'web', addressType: 'IPv6', endpoints: ['fd00::5'] })
const start: AgentEvent = { type: 'start', at: START }
const v4 = '{ip_family="IPv4"}'
const v6 = '{ip_family="IPv6"}'

describe('the network programming latency', () => {
  const NAME = 'kubeproxy_network_programming_duration_seconds'
  const triggered = (object: KubernetesObject, at: number): KubernetesObject => ({
    ...object,
    metadata: {
      ...object.metadata,
      annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': new Date(at).toISOString() },
    },
  })

  it('runs from what changed the endpoints to the end of the sync that carried it', async () => {
    const { at, read } = toldMetrics()
    at(0, start, changed(triggered(webSlice, START + 1000), { seq: 1, at: START + 2000 }))
    at(0, changed(triggered(webSlice6, START + 2500), { seq: 2, at: START + 2600 }))
    at(0, failed({ toSeq: 2, startedAt: START, endedAt: START + 2700 }))
    at(0, synced({ toSeq: 1, startedAt: START, endedAt: START + 3200 }))
    const { value } = await read()
    expect(value(`${NAME}_sum${v4}`)).toBe(2.2)
    expect(value(`${NAME}_count${v6}`)).toBeUndefined()
  })

  it('has kube-proxy’s buckets, to five minutes', async () => {
    const { at, read } = toldMetrics()
    at(0, start, changed(triggered(webSlice, START + 1), { seq: 1, at: START }))
    at(0, synced({ toSeq: 1, startedAt: START, endedAt: START + 1000 }))
    const { buckets } = await read()
    const upTo = (from: number, to: number, by: number): readonly number[] =>
      Array.from({ length: (to - from) / by + 1 }, (_, index) => from + index * by)
    const expected = [0.25, 0.5, ...upTo(1, 59, 1), ...upTo(60, 115, 5), ...upTo(120, 300, 30)]
    expect(buckets(NAME)).toEqual(expected.map(String))
  })

  it('leaves out what happened before the start, what is told twice, and what is not a time', async () => {
    const { at, read } = toldMetrics()
    const before = triggered(webSlice, START - 1)
    at(0, start, changed(before, { seq: 1, at: START }), changed(webSlice, { seq: 2, at: START }))
    const odd = { ...webSlice.metadata, annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': 'now' } }
    at(0, changed({ ...webSlice, metadata: odd }, { seq: 3, at: START }))
    const once = triggered(webSlice, START + 100)
    at(0, changed(once, { seq: 4, at: START + 200 }), changed(once, { seq: 5, at: START + 300 }))
    at(0, synced({ toSeq: 5, startedAt: START, endedAt: START + 1000 }))
    expect((await read()).value(`${NAME}_count${v4}`)).toBe(1)
    at(0, changed(once, { seq: 6, at: START + 2000 }))
    at(0, synced({ toSeq: 6, startedAt: START, endedAt: START + 3000 }))
    expect((await read()).value(`${NAME}_count${v4}`)).toBe(1)
  })

  it('leaves out deletions, and what waited of the Service', async () => {
    const { at, read } = toldMetrics()
    const other = slice({ name: 'other-4', service: 'other', endpoints: ['10.244.1.6'] })
    at(0, start, changed(triggered(webSlice, START + 1), { seq: 1, at: START + 1 }))
    at(0, changed(triggered(other, START + 1), { seq: 2, at: START + 1 }))
    at(0, changed(triggered(webSlice, START + 1), { seq: 3, at: START + 2 }, 'DELETED'))
    at(0, synced({ toSeq: 3, startedAt: START, endedAt: START + 501 }))
    const { value } = await read()
    expect(value(`${NAME}_count${v4}`)).toBe(1)
    expect(value(`${NAME}_sum${v4}`)).toBe(0.5)
  })
})
