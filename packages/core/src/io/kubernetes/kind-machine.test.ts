import { describe, expect, test } from 'vitest'
import { afterStep, beginKind, type KindState, type StepEnd, stepOf } from './kind-machine.js'
import { failureOf } from './watch-failure.js'

const PATIENCE = {
  backoff: { baseMs: 1000, capMs: 30_000 },
  quickMs: 5000,
  steadyMs: 60_000,
  relistMs: Number.POSITIVE_INFINITY,
}

const ENDS: { readonly [name: string]: Omit<StepEnd, 'at'> } = {
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
  restored: { listed: false, heard: false, failure: failureOf('RESTORED', { remedy: 'relist-all' }) },
  wentBack: { listed: true, heard: true, livedMs: 100, resourceVersion: '50', wentBack: true },
  cut: { listed: false, heard: true, livedMs: 30_000, failure: failureOf('NO_ANSWER') },
  answered: { listed: false, heard: false },
  garbled: { listed: false, heard: true, livedMs: 5, failure: failureOf('GARBLED', { remedy: 'retry-then-relist' }) },
  noStream: { listed: false, heard: false, failure: failureOf('STREAMING_LIST_REFUSED', { remedy: 'list-in-pages' }) },
  broken: { listed: false, heard: true, livedMs: 5, failure: failureOf('CLOSED_EARLY') },
}

const ABOUT_CHECKS: ReadonlySet<string> = new Set(['answered', 'behind', 'restored', 'expired'])

/** The steps that are taken, each with the pause before it; `random` is always 1. */
function story(begin: KindState, ends: string): readonly string[] {
  const steps = [shown(begin)]
  let state = begin
  for (const name of ends.split(', ')) {
    const end = ENDS[name]
    if (end === undefined) throw new Error(`no such end: ${name}`)
    // A check that is not what the story is about finds what is known.
    if (stepOf(state).type === 'check' && !ABOUT_CHECKS.has(name))
      state = afterStep(state, { at: 0, listed: false, heard: false }, PATIENCE, 1).state
    const next = afterStep(state, { at: 0, ...end }, PATIENCE, 1)
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
      ['list stream (FIRST)', 'check 50', 'check 50', 'check 50'],
    ],
    ['a log to go on from', '40', true, 'reset, closed', ['check 40', '1000 ms, check 60', 'check 60']],
    [
      'failures in a row',
      '40',
      true,
      'away, away, away, reset, away',
      [
        'check 40',
        '1000 ms, check 40',
        '2000 ms, check 40',
        '4000 ms, check 40',
        '1000 ms, check 60',
        '2000 ms, check 60',
      ],
    ],
    [
      'a watch that is cut every half minute, whatever was before',
      '40',
      true,
      'away, away, away, away, away, away, cut, cut, away',
      [
        'check 40',
        '1000 ms, check 40',
        '2000 ms, check 40',
        '4000 ms, check 40',
        '8000 ms, check 40',
        '16000 ms, check 40',
        '30000 ms, check 40',
        '4000 ms, check 40',
        '4000 ms, check 40',
        '8000 ms, check 40',
      ],
    ],
    [
      'an outage, and a history that is gone by its end: the server answers, and is asked soon',
      '40',
      true,
      'away, away, away, away, expired, away, listed',
      [
        'check 40',
        '1000 ms, check 40',
        '2000 ms, check 40',
        '4000 ms, check 40',
        '8000 ms, check 40',
        '1000 ms, list stream >=40 (EXPIRED)',
        '2000 ms, list stream >=40 (EXPIRED)',
        'check 50',
      ],
    ],
    [
      'a history that is gone again and again',
      '40',
      true,
      'expired, listed, expired, listed, expired',
      [
        'check 40',
        '1000 ms, list stream >=40 (EXPIRED)',
        'check 50',
        '2000 ms, list stream >=50 (EXPIRED)',
        'check 50',
        '4000 ms, list stream >=50 (EXPIRED)',
      ],
    ],
    [
      'another history',
      '40',
      true,
      'away, restored, listed, closed',
      ['check 40', '1000 ms, check 40', '1000 ms, list stream (RESTORED)', 'check 50', 'check 50'],
    ],
    [
      'another history that only a list brought to light',
      '40',
      true,
      'expired, wentBack, wentBack, closed',
      ['check 40', '1000 ms, list stream >=40 (EXPIRED)', 'list stream (RESTORED)', 'check 50', 'check 50'],
    ],
    [
      'quick closes in a row',
      '40',
      true,
      'quick, quick, quick, closed, quick',
      ['check 40', 'check 40', '1000 ms, check 40', '2000 ms, check 40', 'check 40', 'check 40'],
    ],
    [
      'history that is gone',
      '40',
      true,
      'expired, listed, closed',
      ['check 40', '1000 ms, list stream >=40 (EXPIRED)', 'check 50', 'check 50'],
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
      ['check 40', '1000 ms, list pages >=40 (EXPIRED)', '2000 ms, list pages >=40 (EXPIRED)', 'watch 50'],
    ],
    [
      'a server behind',
      '60',
      false,
      'expired, behind, behind, behind, listed, expired',
      [
        'check 60',
        '1000 ms, list pages >=60 (EXPIRED)',
        '2000 ms, list pages >=60 (EXPIRED)',
        '3000 ms, list pages >=60 (EXPIRED)',
        '5000 ms, list pages (EXPIRED)',
        'watch 50',
        '2000 ms, list pages >=50 (EXPIRED)',
      ],
    ],
    [
      'silence',
      '40',
      true,
      'answered, silent, answered, silent',
      ['check 40', 'watch 40', '1000 ms, check 40', 'watch 40', '1000 ms, check 40'],
    ],
    [
      'silence, of a watch from the future',
      '40',
      true,
      'silent, behind, behind, behind',
      ['check 40', '1000 ms, check 40', '2000 ms, check 40', '3000 ms, check 40', '5000 ms, list stream (TOO_NEW)'],
    ],
    [
      'nonsense',
      '40',
      true,
      'garbled, garbled, garbled',
      ['check 40', '1000 ms, check 40', '2000 ms, check 40', '4000 ms, list stream >=40 (GARBLED)'],
    ],
    [
      'nonsense at different places',
      '40',
      true,
      'garbled, garbled, reset, garbled, garbled',
      [
        'check 40',
        '1000 ms, check 40',
        '2000 ms, check 40',
        '1000 ms, check 60',
        '2000 ms, check 60',
        '4000 ms, check 60',
      ],
    ],
  ])('%s', (_, resourceVersion, streams, ends, expected) => {
    expect(story(beginKind(resourceVersion, streams), ends)).toEqual(expected)
  })
})

test('what ends as it should is no loss, nor is a list that is asked for otherwise', () => {
  const lost = (name: string): string | undefined =>
    afterStep(beginKind('40', true), { at: 0, listed: false, heard: false, ...ENDS[name] }, PATIENCE, 1).lost?.code
  expect(['closed', 'quick', 'noStream', 'answered', 'away'].map(lost)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    'NO_ANSWER',
  ])
})

test('what was listed long ago is listed again, at a time of each node’s own', () => {
  const patience = { ...PATIENCE, relistMs: 3_600_000 }
  const minutesUntil = (random: number): number => {
    let state = afterStep(
      beginKind(undefined, true),
      { at: 0, ...ENDS['listed'], listed: true, heard: true },
      patience,
      random,
    ).state
    let at = 0
    while (stepOf(state).type === 'check') {
      at += 300_000
      state = afterStep(state, { at, listed: false, heard: false }, patience, random).state
      if (stepOf(state).type === 'list') break
      state = afterStep(state, { at, listed: false, heard: true, livedMs: 300_000 }, patience, random).state
    }
    expect(shown(state)).toBe('list stream >=50 (PERIODIC)')
    return at / 60_000
  }
  expect([0, 0.5, 1].map(minutesUntil)).toEqual([45, 60, 75])
})
