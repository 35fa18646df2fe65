/** Tells what is to be said again from what was said a moment ago: two who undo each other's work do so every second. */
export interface Repeats {
  /** How often the same was kept quiet since it was said last; undefined: it is to be kept quiet now. */
  readonly take: (what: string, at: number) => number | undefined
}

/** Times in milliseconds. */
export function createRepeats(pauseMs: number): Repeats {
  const said = new Map<string, { readonly at: number; quiet: number }>()
  return {
    take(what, at) {
      for (const [other, { at: then, quiet }] of said) if (quiet === 0 && at - then >= pauseMs) said.delete(other)
      const before = said.get(what)
      if (before !== undefined && at >= before.at && at - before.at < pauseMs) {
        before.quiet++
        return undefined
      }
      said.set(what, { at, quiet: 0 })
      return before?.quiet ?? 0
    },
  }
}
