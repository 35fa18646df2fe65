import type { ApiWriter, ApiWritten } from '@pointsman/core'
import type { AgentEvent } from '../agent-event.js'
import { createEventNotes } from './event-notes.js'
import { createEventSeries } from './event-series.js'

export interface PostEventsOptions {
  readonly nodeName: string
  readonly hostname: string
  readonly observe: boolean
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number
  /** Told once that the server refuses Events, and why. */
  readonly onRefused: (message: string) => void
}

/** Posts Kubernetes Events of what happens in an agent. It delays nothing and fails nothing: what cannot be posted is dropped in the end. */
export interface PostedEvents {
  readonly on: (event: AgentEvent) => void
  /** Where to post; before, Events wait. */
  readonly connect: (writer: ApiWriter) => void
  /** Resolves when all that may be posted now was tried. */
  readonly settled: () => Promise<void>
  readonly close: () => void
}

export function postEvents({ nodeName, hostname, observe, now, onRefused }: PostEventsOptions): PostedEvents {
  const notesOf = createEventNotes({ nodeName, observe })
  // A program that writes no rules is no kube-proxy.
  const series = createEventSeries({ nodeName, hostname, controller: observe ? 'pointsman' : 'kube-proxy' })
  const closed = new AbortController()
  let writer: ApiWriter | undefined
  let isPosting = false
  /** What came while the last Event was posted is not overlooked. */
  let isAsked = false
  let waiting: (() => void)[] = []
  let timer: NodeJS.Timeout | undefined
  let isRefused = false

  const post = async (to: ApiWriter): Promise<void> => {
    for (let next = series.next(now()); next !== undefined; next = series.next(now())) {
      if (closed.signal.aborted) return
      if (next.type === 'wait') {
        timer = setTimeout(begin, next.ms)
        timer.unref()
        return
      }
      const signal = AbortSignal.any([closed.signal, AbortSignal.timeout(REQUEST_MS)])
      const written: ApiWritten | undefined = await to.write(next.write, signal).catch(() => undefined)
      const why = next.settle(written, now())
      if (why === undefined || isRefused) continue
      isRefused = true
      onRefused(
        `no Kubernetes Events are posted: the API server refuses them (${why}); permit create and patch of events in events.k8s.io, or set --events=false`,
      )
    }
  }

  const run = async (to: ApiWriter): Promise<void> => {
    isPosting = true
    try {
      for (isAsked = true; isAsked;) {
        isAsked = false
        await post(to)
      }
    } finally {
      isPosting = false
      for (const resolve of waiting) resolve()
      waiting = []
    }
  }

  const begin = (): void => {
    isAsked = true
    if (writer === undefined || isPosting) return
    clearTimeout(timer)
    void run(writer)
  }

  return {
    on(event) {
      const notes = notesOf(event)
      for (const note of notes) series.add(note, now())
      if (notes.length > 0) begin()
    },
    connect(to) {
      writer = to
      begin()
    },
    settled: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        begin()
      }),
    close() {
      closed.abort(new Error('closed'))
      clearTimeout(timer)
    },
  }
}

const REQUEST_MS = 10_000
