import type { Context } from '../context.js'

export interface Progress {
  /** Shows one line in place of the one before; now and then, however often it is called. */
  readonly show: (line: () => string) => void
  /** Wipes the line. */
  readonly end: () => void
}

const INTERVAL_MS = 100
const WIPE_LINE = '\r\u001B[2K'

/** A line of progress on standard error when that is a terminal; nothing in a pipe. */
export function createProgress({ stderr, now }: Pick<Context, 'stderr' | 'now'>): Progress {
  if (stderr.isTTY !== true) return { show: () => undefined, end: () => undefined }
  let shownAt = now()
  let isShown = false
  return {
    show(line) {
      if (now() - shownAt < INTERVAL_MS) return
      shownAt = now()
      isShown = true
      stderr.write(`${WIPE_LINE}${line().slice(0, (stderr.columns || 80) - 1)}`)
    },
    end() {
      if (isShown) stderr.write(WIPE_LINE)
      isShown = false
    },
  }
}
