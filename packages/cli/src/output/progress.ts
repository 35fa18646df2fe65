import { setImmediate } from 'node:timers/promises'
import type { Context } from '../context.js'

export interface Progress {
  /** Shows one line in place of the one before; now and then, however often it is called. */
  readonly show: (line: () => string) => void
  /** Wipes the line. */
  readonly end: () => void
}

const INTERVAL_MS = 100
/** A line of progress on standard error when that is a terminal; nothing in a pipe. */
export function createProgress({ stderr, now }: Pick<Context, 'stderr' | 'now'>): Progress {
  if (!stderr.isTTY) return { show: () => undefined, end: () => undefined }
  let shownAt = now()
  let isShown = false
  return {
    show(line) {
      if (now() - shownAt < INTERVAL_MS) return
      shownAt = now()
      isShown = true
      stderr.showStatus(line())
    },
    end() {
      if (isShown) stderr.showStatus(undefined)
      isShown = false
    },
  }
}

/**
 * Runs what yields now and then to its end, with a line of progress on a terminal. Undefined, with status 130 and a word on
 * standard error, when it was interrupted.
 */
export async function runSteps<Step, Result>(
  steps: Generator<Step, Result, undefined>,
  line: (step: Step) => string,
  context: Context,
): Promise<Result | undefined> {
  const progress = createProgress(context)
  try {
    for (;;) {
      const next = steps.next()
      if (next.done === true) return next.value
      progress.show(() => line(next.value))
      await setImmediate()
      if (context.interrupted.aborted) break
    }
  } finally {
    progress.end()
  }
  context.stderr.print('interrupted')
  context.finish(130)
  return undefined
}
