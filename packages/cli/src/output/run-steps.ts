import { setImmediate } from 'node:timers/promises'
import type { Context } from '../context.js'
import { createProgress } from './progress.js'

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
