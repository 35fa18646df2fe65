import { compareResourceVersions } from '../../model/resource-version.js'
import type { PlacedEvent } from './recording-file.js'
import type { RecordingItem } from './recording-item.js'
import { estimatedTime, timeSettler } from './settle-times.js'

/**
 * Orders what several watches of one cluster printed without times: by resourceVersion, which all kinds share, and within one
 * file and resourceVersion as it stood. What has none, such as a line that is no event, stays behind the event before it.
 */
export function orderByResourceVersion(files: readonly (readonly PlacedEvent[])[]): readonly RecordingItem[] {
  const keyed = files.flatMap((events) => {
    let last = ''
    return events.map((event) => ({ event, version: (last = resourceVersionOf(event) ?? last) }))
  })
  const ordered = keyed.toSorted((one, other) => compareVersions(one.version, other.version)).map(({ event }) => event)
  const first = ordered.map(estimatedTime).find((time) => time !== undefined)
  return ordered.map(timeSettler(first))
}

function resourceVersionOf(placed: PlacedEvent): string | undefined {
  if (placed.type !== 'event') return undefined
  const { event } = placed
  const version = event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata['resourceVersion']
  return typeof version === 'string' && /^[0-9]+$/.test(version) ? version : undefined
}

// What stands before the first version of its file comes before all versions.
const compareVersions = (one: string, other: string): number => compareResourceVersions(one || '0', other || '0') ?? 0
