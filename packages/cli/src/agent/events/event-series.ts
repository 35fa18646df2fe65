import type { ApiWrite, ApiWritten, JsonObject } from '@pointsman/core'
import type { EventNote } from './event-notes.js'

export interface EventSeriesOptions {
  readonly nodeName: string
  /** `kube-proxy`; `pointsman` of an observer. */
  readonly controller: string
  /** The machine's name. */
  readonly hostname: string
}

/**
 * Events as they are to be written, few enough for any number of things that happen: what happens again is counted in one Event (a series), whose
 * count is written at most once a minute; all requests together are ten at once and one in half a minute. `now`: milliseconds of a clock that
 * does not jump.
 */
export interface EventSeries {
  /** Takes what is to be said. Nothing of it is written yet. */
  readonly add: (note: EventNote, now: number) => void
  /** The next request, or how long there is none; undefined: nothing is to be written. */
  readonly next: (now: number) => PendingWrite | { readonly type: 'wait'; readonly ms: number } | undefined
}

export interface PendingWrite {
  readonly type: 'write'
  readonly write: ApiWrite
  /** Takes what became of it; undefined: there was no answer. Gives why nothing is written for a while, if the server refuses Events. */
  readonly settle: (written: ApiWritten | undefined, now: number) => string | undefined
}

interface Series {
  readonly note: EventNote
  readonly event: JsonObject
  readonly path: string
  readonly name: string
  count: number
  /** When it happened last: milliseconds since 1970 UTC. */
  lastAt: number
  lastNotedAt: number
  isPosted: boolean
  writtenAt: number
  postedCount: number
  /** When it is to be written; undefined: there is nothing new. */
  dueAt: number | undefined
  tries: number
}

export function createEventSeries(options: EventSeriesOptions): EventSeries {
  const all = new Map<string, Series>()
  let tokens = MAX_TOKENS
  let countedAt: number | undefined
  /** The server is away, or refuses Events. */
  let pausedUntil = Number.NEGATIVE_INFINITY
  let names = 0

  const takeStock = (now: number): void => {
    tokens = Math.min(MAX_TOKENS, tokens + (now - (countedAt ?? now)) / TOKEN_MS)
    countedAt = now
    for (const [key, { dueAt, lastNotedAt }] of all) {
      const age = now - lastNotedAt
      if (age >= EXPIRY_MS || (dueAt === undefined && age >= SERIES_MS)) all.delete(key)
    }
  }

  const settled = (key: string, series: Series, now: number): void => {
    series.isPosted = true
    series.tries = 0
    series.dueAt = series.count > series.postedCount ? series.writtenAt + SERIES_PAUSE_MS : undefined
    if (series.dueAt === undefined && now - series.lastNotedAt >= SERIES_MS) all.delete(key)
  }

  const retry = (key: string, series: Series, now: number): void => {
    const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** series.tries, LAST_RETRY_MS)
    series.tries += 1
    if (series.tries >= MAX_TRIES) all.delete(key)
    pausedUntil = now + pauseMs
  }

  const settle = (
    key: string,
    series: Series,
    { written, now }: { readonly written: ApiWritten | undefined; readonly now: number },
  ): string | undefined => {
    const { status, message } = written ?? { status: 0, message: '' }
    if (status === 0 || status === 429 || status >= 500) {
      retry(key, series, now)
      return undefined
    }
    // There already: the answer to the same request before was lost.
    if (status < 300 || (status === 409 && !series.isPosted)) {
      settled(key, series, now)
      return undefined
    }
    if (status === 404 && series.isPosted) {
      // It was deleted, as an API server does after an hour.
      series.isPosted = false
      return undefined
    }
    const isRefused = [401, 403, 404].includes(status) && series.note.service === undefined
    // What is refused about a Service may be so because of its namespace.
    if (!isRefused) {
      all.delete(key)
      return undefined
    }
    pausedUntil = now + REFUSED_MS
    return message === '' ? `status ${status}` : `${status}: ${message}`
  }

  return {
    add(note, now) {
      takeStock(now)
      const key = [note.type, note.reason, note.action, note.service, note.about].join(' ')
      const before = all.get(key)
      if (before !== undefined && now - before.lastNotedAt < SERIES_MS) {
        before.count += 1
        before.lastAt = note.at
        before.lastNotedAt = now
        before.dueAt ??= before.count === 2 ? now : Math.max(now, before.writtenAt + SERIES_PAUSE_MS)
        return
      }
      if (all.size >= MAX_SERIES) return
      names = (names + 1) % 1_000_000
      const written = eventOf(note, { ...options, unique: names })
      all.set(key, {
        note,
        ...written,
        count: 1,
        lastAt: note.at,
        lastNotedAt: now,
        isPosted: false,
        writtenAt: now,
        postedCount: 0,
        dueAt: now,
        tries: 0,
      })
    },
    next(now) {
      takeStock(now)
      const due = [...all].flatMap(([key, series]) =>
        series.dueAt === undefined ? [] : [{ key, series, at: Math.max(series.dueAt, pausedUntil) }],
      )
      const [first, ...others] = due
      if (first === undefined) return undefined
      const { key, series, at } = others.reduce((least, one) => (one.at < least.at ? one : least), first)
      const tokenAt = tokens >= 1 ? now : now + (1 - tokens) * TOKEN_MS
      const ms = Math.max(at, tokenAt) - now
      if (ms > 0) return { type: 'wait', ms }
      tokens -= 1
      series.postedCount = series.count
      series.writtenAt = now
      return {
        type: 'write',
        write: writeOf(series),
        settle: (written, settledAt) => settle(key, series, { written, now: settledAt }),
      }
    },
  }
}

/** An Event that was quiet for so long is over: the next one of its kind is another (client-go: six minutes). */
const SERIES_MS = 360_000
const SERIES_PAUSE_MS = 60_000
/** What could not be written for so long is not written any more: no API server keeps it longer. */
const EXPIRY_MS = 3_600_000
const MAX_SERIES = 100
const MAX_TOKENS = 10
const TOKEN_MS = 30_000
const FIRST_RETRY_MS = 10_000
const LAST_RETRY_MS = 300_000
/** As client-go. */
const MAX_TRIES = 12
/** Permission may be given meanwhile. */
const REFUSED_MS = 600_000

function writeOf({ path, name, event, isPosted, count, lastAt }: Series): ApiWrite {
  const series = count > 1 ? { series: { count, lastObservedTime: microTime(lastAt) } } : {}
  if (isPosted) return { method: 'PATCH', path: `${path}/${name}`, body: series }
  return { method: 'POST', path, body: { ...event, ...series } }
}

/** As client-go's recorder makes it of kube-proxy's words, whose references have the name as uid. */
function eventOf(
  { type, reason, action, service, note, at }: EventNote,
  { nodeName, controller, hostname, unique }: EventSeriesOptions & { readonly unique: number },
): Pick<Series, 'event' | 'path' | 'name'> {
  const [namespace = '', serviceName = ''] = service?.split('/') ?? []
  const place = service === undefined ? 'default' : namespace
  const regarding =
    service === undefined
      ? { kind: 'Node', name: nodeName, uid: nodeName }
      : { kind: 'Service', namespace, name: serviceName, uid: service }
  const nanoseconds = BigInt(Math.round(at)) * 1_000_000n + BigInt(unique)
  const name = `${regarding.name.slice(0, MAX_NAME)}.${nanoseconds.toString(16)}`
  return {
    name,
    path: `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(place)}/events`,
    event: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace: place },
      eventTime: microTime(at),
      reportingController: controller,
      reportingInstance: `${controller}-${hostname}`.slice(0, MAX_INSTANCE),
      action,
      reason,
      regarding,
      ...(note !== '' && { note }),
      type,
    },
  }
}

const MAX_NAME = 230
const MAX_INSTANCE = 128

/** Six digits behind the second: an API server parses no others. */
const microTime = (at: number): string => new Date(at).toISOString().replace('Z', '000Z')
