import { describe, expect, test } from 'vitest'
import { afterStep, beginKind, type KindState, type StepEnd, stepOf } from './kind-machine.js'
import { failureOf } from './watch-failure.js'

const PATIENCE = {
  backoff: { baseMs: 1000, capMs: 30_000 },
  quickMs: 5000,
  steadyMs: 60_000,
  idleLimitMs: 150_000,
}

const ENDS: { readonly [name: string]: StepEnd } = {
  listed: { listed: true, heard: true, livedMs: 100, resourceVersion: '50' },
  closed: { listed: false, heard: true, livedMs: 300_000 },
  quick: { listed: false, heard: false, livedMs: 10 },
  away: { listed: false, heard: false, failure: failureOf('NO_ANSWER') },
  reset: { listed: false, heard: true, livedMs: 70_000, resourceVersion: '60', failure: failureOf('NO_ANSWER') },
  silent: { listed: false, heard: false, livedMs: 150_000, failure: failureOf('SILENT') },
  expired: { listed: false, heard: false, livedMs: 5, failure: failureOf('EXPIRED', { remedy: 'relist' }) },
  behind: {
    listed: false,
    heard: false,
    failure: failureOf('TOO_NEW', { remedy: 'wait-for-newer', retryAfterMs: 1000 }),
  },
  answered: { listed: false, heard: false },
  garbled: { listed: false, heard: true, livedMs: 5, failure: failureOf('GARBLED', { remedy: 'retry-then-relist' }) },
  noStream: { listed: false, heard: false, failure: failureOf('STREAMING_LIST_REFUSED', { remedy: 'list-in-pages' }) },
  broken: { listed: false, heard: true, livedMs: 5, failure: failureOf('CLOSED_EARLY') },
}

/** The steps that are taken, each with the pause before it; `random` is always 1. */
function story(begin: KindState, ends: string): readonly string[] {
  const steps = [shown(begin)]
  let state = begin
  for (const name of ends.split(', ')) {
    const end = ENDS[name]
    if (end === undefined) throw new Error(`no such end: ${name}`)
    const next = afterStep(state, end, PATIENCE, 1)
    state = next.state
    steps.push(`${next.waitMs === 0 ? '' : `${next.waitMs} ms, `}${shown(state)}`)
  }
  return steps
}

function shown(state: KindState): string {
  const step = stepOf(state)
  if (step.type !== 'list') return `${step.type} ${step.resourceVersion}`
  return `list ${step.way}${step.atLeast === undefined ? '' : ` >=${step.atLeast}`} (${step.because})`
}

describe('what is done about a kind', () => {
  test.each<[string, string | undefined, boolean, string, readonly string[]]>([
    [
      'a first list, and watches',
      undefined,
      true,
      'listed, closed, closed',
      ['list stream (FIRST)', 'watch 50', 'watch 50', 'watch 50'],
    ],
    ['a log to go on from', '40', true, 'reset, closed', ['watch 40', '1000 ms, watch 60', 'watch 60']],
    [
      'failures in a row',
      '40',
      true,
      'away, away, away, reset, away',
      [
        'watch 40',
        '1000 ms, watch 40',
        '2000 ms, watch 40',
        '4000 ms, watch 40',
        '1000 ms, watch 60',
        '2000 ms, watch 60',
      ],
    ],
    [
      'quick closes in a row',
      '40',
      true,
      'quick, quick, quick, closed, quick',
      ['watch 40', 'watch 40', '1000 ms, watch 40', '2000 ms, watch 40', 'watch 40', 'watch 40'],
    ],
    [
      'history that is gone',
      '40',
      true,
      'expired, listed, closed',
      ['watch 40', '1000 ms, list stream >=40 (EXPIRED)', 'watch 50', 'watch 50'],
    ],
    [
      'a list that cannot be streamed',
      undefined,
      true,
      'noStream, listed, expired',
      ['list stream (FIRST)', 'list pages (FIRST)', 'watch 50', '1000 ms, list pages >=50 (EXPIRED)'],
    ],
    [
      'a stream that breaks again and again',
      undefined,
      true,
      'broken, broken, broken',
      [
        'list stream (FIRST)',
        '1000 ms, list stream (FIRST)',
        '2000 ms, list stream (FIRST)',
        '4000 ms, list pages (FIRST)',
      ],
    ],
    [
      'a server away is no broken stream',
      undefined,
      true,
      'away, away, away',
      [
        'list stream (FIRST)',
        '1000 ms, list stream (FIRST)',
        '2000 ms, list stream (FIRST)',
        '4000 ms, list stream (FIRST)',
      ],
    ],
    [
      'a list that fails stays a list',
      '40',
      false,
      'expired, away, listed',
      ['watch 40', '1000 ms, list pages >=40 (EXPIRED)', '2000 ms, list pages >=40 (EXPIRED)', 'watch 50'],
    ],
    [
      'a server behind',
      '60',
      false,
      'expired, behind, behind, behind, listed, expired',
      [
        'watch 60',
        '1000 ms, list pages >=60 (EXPIRED)',
        '3000 ms, list pages >=60 (EXPIRED)',
        '5000 ms, list pages >=60 (EXPIRED)',
        '9000 ms, list pages (EXPIRED)',
        'watch 50',
        '16000 ms, list pages >=50 (EXPIRED)',
      ],
    ],
    [
      'silence',
      '40',
      true,
      'silent, silent, answered, silent',
      ['watch 40', '1000 ms, watch 40', '1000 ms, probe 40', 'watch 40', '1000 ms, watch 40'],
    ],
    [
      'silence, of a watch from the future',
      '40',
      true,
      'silent, silent, behind, behind, behind',
      [
        'watch 40',
        '1000 ms, watch 40',
        '1000 ms, probe 40',
        '3000 ms, probe 40',
        '5000 ms, probe 40',
        '9000 ms, list stream (TOO_NEW)',
      ],
    ],
    [
      'nonsense',
      '40',
      true,
      'garbled, garbled, garbled',
      ['watch 40', '1000 ms, watch 40', '2000 ms, watch 40', '4000 ms, list stream >=40 (GARBLED)'],
    ],
    [
      'nonsense at different places',
      '40',
      true,
      'garbled, garbled, reset, garbled, garbled',
      [
        'watch 40',
        '1000 ms, watch 40',
        '2000 ms, watch 40',
        '1000 ms, watch 60',
        '2000 ms, watch 60',
        '4000 ms, watch 60',
      ],
    ],
  ])('%s', (_, resourceVersion, streams, ends, expected) => {
    expect(story(beginKind(resourceVersion, streams), ends)).toEqual(expected)
  })
})

test('what ends as it should is no loss, nor is a list that is asked for otherwise', () => {
  const lost = (name: string): string | undefined =>
    afterStep(beginKind('40', true), ENDS[name] ?? { listed: false, heard: false }, PATIENCE, 1).lost?.code
  expect(['closed', 'quick', 'noStream', 'answered', 'away'].map(lost)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    'NO_ANSWER',
  ])
})
