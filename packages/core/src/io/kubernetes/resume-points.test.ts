import { expect, test } from 'vitest'
import { OBJECT_KINDS, type ObjectKind } from '../../model/kubernetes-object.js'
import { seq } from '../../model/record.js'
import type { LogPosition } from '../../ports/change-log.js'
import { resumePoints } from './kubernetes-source.js'

const SLICE = 'EndpointSlice'

/** `event 7`, `bookmark 7`, `begun`, `list 7`, `sync`: of slices. */
function record(text: string, position: number): LogPosition {
  const [word = '', resourceVersion = ''] = text.split(' ')
  const base = { seq: seq(position + 1), observedAt: position }
  switch (word) {
    case 'event':
      return { seq: base.seq, type: 'object', kind: SLICE, resourceVersion }
    case 'bookmark':
      return { seq: base.seq, type: 'bookmark', kind: SLICE, resourceVersion }
    case 'begun':
      return { ...base, type: 'notice', code: 'LIST_BEGUN', message: '', details: { kind: SLICE } }
    case 'unread':
      return {
        ...base,
        type: 'notice',
        code: 'LIST',
        message: '',
        details: { kind: SLICE, resourceVersion, unread: true },
      }
    case 'list':
      return { ...base, type: 'notice', code: 'RELIST', message: '', details: { kind: SLICE, resourceVersion } }
    default:
      return { ...base, type: 'notice', code: 'LOG_GAP', message: '' }
  }
}

test.each<[string, string, string | undefined]>([
  ['after an event, at the event', 'bookmark 5, event 7', '7'],
  ['after a bookmark, at the bookmark', 'event 7, bookmark 9', '9'],
  [
    'a list that was not finished is listed again, though its events are newer',
    'bookmark 5, begun, event 200',
    undefined,
  ],
  ['a list that was finished', 'bookmark 5, begun, event 3, list 210, bookmark 210', '210'],
  ['a kill between the last words of a list', 'bookmark 5, begun, event 3, list 210', '210'],
  ['a list of a run that had not read the log', 'bookmark 5, begun, event 200, unread 210, event 220', undefined],
  ['events after a list', 'begun, event 3, list 210, bookmark 210, event 211', '211'],
  ['other records are of no matter', 'event 7, gap', '7'],
  ['retention has left nothing but an event', 'event 7', '7'],
  ['nothing is there', '', undefined],
])('%s: %s', (_, history, expected) => {
  const records = history === '' ? [] : history.split(', ').map(record)
  expect(resumePoints(records.toReversed(), new Set(OBJECT_KINDS))[SLICE]?.resourceVersion).toBe(expected)
})

test('a kind that was never received whole is listed', () => {
  expect(resumePoints([record('event 7', 0)], new Set<ObjectKind>(['Service']))).toEqual({})
})

test('no more is read than says where all kinds stand', () => {
  let read = 0
  function* records(): Generator<LogPosition> {
    for (const text of ['bookmark 9', 'event 7', 'event 6']) {
      read++
      yield record(text, 10 - read)
    }
  }
  expect(resumePoints(records(), new Set<ObjectKind>([SLICE]))).toEqual({ [SLICE]: { resourceVersion: '9' } })
  expect(read).toBe(1)
})
