import { type LogEntry, seq } from '@pointsman/core'
import { service, createMemoryChangeLog } from '@pointsman/core/testing'
import { expect, it } from 'vitest'
import { appliedSince } from './answer.js'

const event = (version: number): LogEntry => ({
  type: 'event',
  event: {
    type: 'ADDED',
    observedAt: version * 1000,
    object: service({ name: `s${version}`, resourceVersion: `${version}` }),
  },
})
const sync = (toSeq: number, error?: { readonly code: string; readonly message: string }): LogEntry => ({
  type: 'sync',
  observedAt: toSeq * 1000 + 500,
  backend: 'iptables',
  fromSeq: seq(1),
  toSeq: seq(toSeq),
  full: false,
  changed: 1,
  durationMs: 1,
  ...(error ? { error } : { rules: 1, bytes: 1, digest: '' }),
})
const notice: LogEntry = { type: 'notice', observedAt: 9000, code: 'RELIST', message: '' }

it.each([
  ['nobody syncs', [event(1)], 1, 'no-agent'],
  ['the first sync has not succeeded', [event(1), sync(1, { code: 'X', message: '' })], 1, 'no-agent'],
  ['all is synced, and only notices came since', [event(1), sync(1), notice], 3, 'in-force'],
  ['more was heard than is synced', [event(1), sync(1), event(2)], 3, 'behind'],
  ['that was synced since', [event(1), sync(1), event(2), sync(3), event(4)], 3, 'in-force'],
  ['the sync of it failed', [event(1), sync(1), event(2), sync(3, { code: 'X', message: '' })], 3, 'behind'],
] as const)('%s', async (_, entries, point, expected) => {
  const log = createMemoryChangeLog()
  const outcomes = await log.append(entries)
  expect(outcomes.filter(({ type }) => type !== 'appended')).toEqual([])
  expect(appliedSince(log, seq(point)).type).toBe(expected)
})
