import type { KubernetesObject } from '../../model/kubernetes-object.js'
import type { SourceItem } from '../../ports/live-source.js'
import type { KindContext } from './kind-context.js'
import { createListDifferences, type Difference, type ListDifferences } from './list-differences.js'
import type { KnownVersion } from './recent-objects.js'
import { sourceNotice } from './source-notices.js'

/** A list under way, as items: its differences as they come to light; at its end what it was about. */
export interface Listing {
  see(object: KubernetesObject): readonly SourceItem[]
  gone(object: KubernetesObject): readonly SourceItem[]
  /** An object that is there, and cannot be read. */
  spare(version: KnownVersion): void
  finish(resourceVersion: string): readonly SourceItem[]
  /** In what the list goes beyond its limits; undefined: in nothing. */
  excess(): string | undefined
}

/** `because`: FIRST, or the code of the failure that made it necessary. */
export function createListing(
  { watched, recent, known, lastVersion, scheduler, limits }: KindContext,
  { because, way }: { readonly because: string; readonly way: 'stream' | 'pages' },
): Listing {
  const { kind } = watched
  const startedAt = scheduler.now()
  let begun = false
  let made: ListDifferences | undefined
  let knownNow: ReadonlyMap<string, unknown> = new Map()
  // Not before the server answers: while it is away nobody has to go through all that is known.
  const differences = (): ListDifferences => {
    if (made !== undefined) return made
    const over = recent.over(known(kind))
    knownNow = over
    made = createListDifferences({ kind, known: over, lastVersion: (version) => lastVersion(kind, version) })
    return made
  }

  const itemsOf = (found: readonly Difference[]): readonly SourceItem[] => {
    if (found.length === 0) return []
    const observedAt = scheduler.now()
    const items: SourceItem[] = found.map((difference) => {
      recent.learn(difference)
      return { type: 'event', event: { ...difference, observedAt, isNews: true } }
    })
    if (begun) return items
    begun = true
    // Whoever reads the log has to know that the positions of these events are none to go on from.
    const message = `what differs in the list follows (${because})`
    return [{ type: 'notice', notice: sourceNotice('LIST_BEGUN', { kind, message, observedAt }) }, ...items]
  }

  return {
    see: (object) => itemsOf(differences().see(object)),
    gone: (object) => itemsOf(differences().see(object, 'gone')),
    excess() {
      const objects = Math.max(made?.counts.listed ?? 0, knownNow.size)
      if (objects > limits.maxObjects) return `more than ${limits.maxObjects} objects`
      const tookMs = scheduler.now() - startedAt
      return tookMs > limits.listMs ? `not whole after ${Math.round(tookMs / 1000)} s` : undefined
    },
    spare: (version) => differences().spare(version),
    finish(resourceVersion) {
      const items = itemsOf(differences().finish())
      const observedAt = scheduler.now()
      const { listed, added, modified, deleted, replaced } = differences().counts
      const counts = `${listed} listed: ${added} added, ${modified} modified, ${replaced} replaced, ${deleted} deleted`
      const details = {
        because,
        way,
        resourceVersion,
        listed,
        added,
        modified,
        replaced,
        deleted,
        durationMs: observedAt - startedAt,
      }
      const code = because === 'FIRST' ? 'LIST' : 'RELIST'
      return [
        ...items,
        {
          type: 'notice',
          notice: sourceNotice(code, { kind, message: `${counts} (${because})`, observedAt, details }),
        },
        {
          type: 'event',
          event: { type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd: true, observedAt, isNews: true },
        },
      ]
    },
  }
}
