import { setImmediate } from 'node:timers/promises'
import type { Context } from '../context.js'

/** Characters written at once; between two portions Ctrl-C and a closed pipe are noticed. */
const PORTION = 1 << 16

/**
 * Writes lines, which come without line ends, to standard output in portions, no faster than they are taken. Gives false,
 * with status 130 and a word on standard error, when it was interrupted.
 */
export async function writePieces(lines: Iterable<string>, context: Context): Promise<boolean> {
  for (const portion of portionsOf(lines)) {
    if (context.stdout.print(portion) === false) await drained(context)
    await setImmediate()
    if (!context.interrupted.aborted) continue
    context.stderr.print('interrupted: what was printed is not all')
    context.finish(130)
    return false
  }
  return true
}

/** Lines of about 64 KiB in all at a time. */
export function* portionsOf(lines: Iterable<string>): Generator<readonly string[], void, undefined> {
  let waiting: string[] = []
  let length = 0
  for (const line of lines) {
    waiting.push(line)
    length += line.length + 1
    if (length < PORTION) continue
    yield waiting
    waiting = []
    length = 0
  }
  if (waiting.length > 0) yield waiting
}

const drained = ({ stdout, interrupted }: Context): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      interrupted.removeEventListener('abort', end)
      resolve()
    }
    interrupted.addEventListener('abort', end)
    if (interrupted.aborted) end()
    else stdout.once('drain', end)
  })
