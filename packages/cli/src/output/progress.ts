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
