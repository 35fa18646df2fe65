import { ConntrackError, type ConntrackReport } from '@pointsman/core'
import { expect, it } from 'vitest'
import { flowNotices } from './pending-flows.js'

const COUNTS = { listed: 3, deleted: 1, left: 0, durationMs: 5 }
const DONE: ConntrackReport = { type: 'reconciled', ...COUNTS }
const LEFT: ConntrackReport = { ...DONE, left: 2 }
const FAILED: ConntrackReport = {
  type: 'failed',
  error: new ConntrackError('TIMED_OUT', { argv: ['conntrack'] }),
  ...COUNTS,
}

function codes({ pending }: { readonly pending: boolean }, ...reports: readonly ConntrackReport[]): readonly string[] {
  const noted: string[] = []
  const note = flowNotices({
    recorder: { put: (entry) => void (entry.type === 'notice' && noted.push(entry.code)) },
    now: () => 0,
    pending,
  })
  for (const report of reports) note(report)
  return noted
}

it('notes once that flows are left, and once that they are deleted', () => {
  expect(codes({ pending: false }, DONE, FAILED, FAILED, LEFT, DONE, DONE, LEFT)).toEqual([
    'FLOWS_PENDING',
    'FLOWS_CLEARED',
    'FLOWS_PENDING',
  ])
})

it('goes on from what the log says', () => {
  expect(codes({ pending: true }, DONE, DONE)).toEqual(['FLOWS_CLEARED'])
  expect(codes({ pending: true }, FAILED, DONE)).toEqual(['FLOWS_PENDING', 'FLOWS_CLEARED'])
})
