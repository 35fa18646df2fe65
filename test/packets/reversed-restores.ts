import { IptablesError, type Iptables } from 'node-iptables'

/** iptables of which restores are held back, so that they can be run in another order. */
export interface ReversedRestores {
  readonly iptables: Iptables
  /** From now on a restore is done as soon as it is asked for, or not. */
  readonly reverse: (isReversed: boolean) => void
  /**
   * Runs what was held back: each table of each restore by itself, as they take effect, the last one first. What is
   * refused because something that it needs comes later is tried again after that.
   */
  readonly release: () => Promise<void>
}

export function reversedRestores(iptables: Iptables): ReversedRestores {
  let isReversed = false
  const held: (readonly string[])[] = []
  const restore = (lines: readonly string[]): Promise<void> =>
    iptables.restore({ lines: () => lines, flush: false, counters: true })
  return {
    iptables: {
      ...iptables,
      restore: async (request, limits) => {
        if (!isReversed) return iptables.restore(request, limits)
        if (!('lines' in request) || typeof request.lines !== 'function') throw new Error('a restore without lines')
        held.push(...commitsOf([...(request.lines() as Iterable<string>)]))
      },
    },
    reverse: (wanted) => (isReversed = wanted),
    async release() {
      let waiting = held.splice(0).toReversed()
      while (waiting.length > 0) {
        const refused: (readonly string[])[] = []
        for (const lines of waiting) {
          try {
            await restore(lines)
          } catch (error) {
            if (!(error instanceof IptablesError)) throw error
            refused.push(lines)
          }
        }
        if (refused.length === waiting.length) throw new Error(`none of ${refused.length} restores succeeds`)
        waiting = refused
      }
    },
  }
}

function commitsOf(lines: readonly string[]): readonly (readonly string[])[] {
  const commits: string[][] = []
  for (const line of lines) {
    if (line.startsWith('*')) commits.push([])
    commits.at(-1)?.push(line)
  }
  return commits
}
