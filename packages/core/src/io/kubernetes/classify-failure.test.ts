import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readStatus } from './answer.js'
import { type Asked, type Ending, failureOfEnding, failureOfErrorEvent } from './watch-failure.js'

const NOW = Date.parse('2026-11-21T03:04:24Z')

const refused = (status: number, body: unknown = '', headers: Record<string, string> = {}): Ending => ({
  type: 'refused',
  status,
  headers,
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
})

function shown(ending: Ending, asked: Asked): string {
  const failure = failureOfEnding(ending, asked, NOW)
  if (failure === undefined) return 'nothing'
  const { code, remedy, retryAfterMs } = failure
  return `${code}, ${remedy}${retryAfterMs === undefined ? '' : `, not before ${retryAfterMs} ms`}`
}

const TOO_LARGE = { message: 'Timeout: Too large resource version: 9, current: 5', reason: 'Timeout', code: 504 }

describe('what follows from how an answer ended', () => {
  test.each<[string, Ending, Asked, string]>([
    ['closed', { type: 'closed' }, 'watch', 'nothing'],
    ['cut within an event', { type: 'cut', pendingBytes: 3 }, 'watch', 'CLOSED_EARLY, retry'],
    ['silent', { type: 'silent', afterMs: 1000 }, 'watch', 'SILENT, retry'],
    ['an endless line', { type: 'too-long', limitBytes: 9 }, 'watch', 'TOO_LONG, retry-then-relist'],
    ['a reset connection', { type: 'threw', error: new Error('read ECONNRESET') }, 'watch', 'NO_ANSWER, retry'],
    ['410 of a watch', refused(410), 'watch', 'EXPIRED, relist'],
    ['410 of a page', refused(410, { reason: 'Expired' }), 'page', 'EXPIRED, relist'],
    ['too new', refused(504, TOO_LARGE, { 'retry-after': '1' }), 'page', 'TOO_NEW, wait-for-newer, not before 1000 ms'],
    ['504 of another kind', refused(504, { message: 'Timeout' }), 'page', 'SERVER_ERROR, retry'],
    ['400 of a streaming list', refused(400), 'streaming-list', 'STREAMING_LIST_REFUSED, list-in-pages'],
    ['422 of a streaming list', refused(422), 'streaming-list', 'STREAMING_LIST_REFUSED, list-in-pages'],
    ['500 of a streaming list', refused(500), 'streaming-list', 'SERVER_ERROR, retry'],
    ['400 of a watch', refused(400), 'watch', 'REFUSED, relist'],
    ['400 of a page', refused(400), 'page', 'REFUSED, wait-for-newer'],
    ['404', refused(404), 'watch', 'REFUSED, retry'],
    ['401', refused(401), 'watch', 'UNAUTHORIZED, retry'],
    ['403', refused(403), 'streaming-list', 'FORBIDDEN, retry'],
    ['429', refused(429, '', { 'retry-after': '7' }), 'page', 'THROTTLED, retry, not before 7000 ms'],
    [
      '429 that says it in its body',
      refused(429, { details: { retryAfterSeconds: 2 } }),
      'page',
      'THROTTLED, retry, not before 2000 ms',
    ],
    [
      '503 until a date',
      refused(503, 'x', { 'retry-after': 'Sat, 21 Nov 2026 03:04:34 GMT' }),
      'page',
      'SERVER_ERROR, retry, not before 10000 ms',
    ],
    [
      '503 until next year',
      refused(503, 'x', { 'retry-after': '99999999' }),
      'page',
      'SERVER_ERROR, retry, not before 300000 ms',
    ],
    ['a proxy that answers in HTML', refused(502, '<html>Bad gateway</html>'), 'watch', 'SERVER_ERROR, retry'],
  ])('%s', (_, ending, asked, expected) => {
    expect(shown(ending, asked)).toBe(expected)
  })
})

describe('an ERROR event', () => {
  const eventOf = (text: string): unknown => (JSON.parse(text) as { object: unknown }).object

  test('that the history is gone, as a real server words it', () => {
    const status = eventOf(
      '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (5)","reason":"Expired","code":410}}',
    )
    expect(failureOfErrorEvent(readStatus(status), 'watch')).toMatchObject({
      code: 'EXPIRED',
      remedy: 'relist',
      message:
        'the requested resourceVersion is too old (compacted): relisting (410 Expired too old resource version: 1 (5))',
    })
  })

  test('of a store that cannot stream lists means pages, but to a watch it is an error as any other', () => {
    const file = join(import.meta.dirname, '../../../../../fixtures/wire/watchlist-unsupported.jsonl')
    const status = readStatus(eventOf(readFileSync(file, 'utf8')))
    expect(failureOfErrorEvent(status, 'streaming-list')).toMatchObject({ remedy: 'list-in-pages' })
    expect(failureOfErrorEvent(status, 'watch')).toMatchObject({ code: 'ENDED_BY_SERVER', remedy: 'retry' })
  })
})

test('what the connection says of itself is passed on with its code', () => {
  const error = Object.assign(new Error('https://10.0.0.1: the certificate is not trusted'), {
    name: 'ApiServerError',
    code: 'TLS_FAILED',
  })
  expect(failureOfEnding({ type: 'threw', error }, 'watch', NOW)).toEqual({
    code: 'TLS_FAILED',
    message: 'https://10.0.0.1: the certificate is not trusted',
    remedy: 'retry',
  })
})
