import type { Iptables } from 'node-iptables'
import { formatCount } from '../output/duration.js'
import type { Progress } from '../output/progress.js'

/** The same iptables, which says as it goes how many lines it has read and restored, one run after the other. */
export function withProgress(iptables: Iptables, progress: Progress): Iptables {
  const { family } = iptables
  const counting = (what: string): (() => void) => {
    let lines = 0
    return () => {
      lines += 1
      if (lines % LINES_A_LOOK === 0) progress.show(() => `${family}: ${what} ${formatCount(lines)} lines`)
    }
  }
  const countRead = counting('read')
  const countRestored = counting('restored')
  return {
    ...iptables,
    async *saveLines(what, limits) {
      for await (const line of iptables.saveLines(what, limits)) {
        countRead()
        yield line
      }
    },
    restore(request, limits) {
      if (!('lines' in request) || typeof request.lines !== 'function') return iptables.restore(request, limits)
      const { lines } = request
      const counted = async function* (): AsyncGenerator<string> {
        for await (const line of lines()) {
          countRestored()
          yield line
        }
      }
      return iptables.restore({ ...request, lines: counted }, limits)
    },
  }
}

const LINES_A_LOOK = 500
