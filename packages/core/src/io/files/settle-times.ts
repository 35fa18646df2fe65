import { assertNever } from '../../model/assert-never.js'
import { isJsonObject } from '../../model/is-json-object.js'
import { parseRfc3339 } from '../../model/rfc3339.js'
import type { PlacedEvent } from './recording-file.js'
import type { RecordingItem } from './recording-item.js'

/**
 * Gives each event its time, in the order in which the events come. An event without `observedAt` gets the newest time of
 * its object's managedFields (else its creationTimestamp), marked as estimated, and never one before the event before it.
 * `startAt` is the time of what comes before the first time.
 */
export function timeSettler(startAt = 0): (event: PlacedEvent) => RecordingItem {
  let last = startAt
  return (placed) => {
    const { file, line } = placed
    switch (placed.type) {
      case 'event': {
        const { observedAt } = placed.event
        if (observedAt !== undefined) {
          last = observedAt
          return { type: 'event', event: { ...placed.event, observedAt }, file, line }
        }
        last = Math.max(last, estimatedTime(placed) ?? last)
        return { type: 'event', event: { ...placed.event, observedAt: last, estimated: true }, file, line }
      }
      case 'watch-error':
        last = Math.max(last, placed.observedAt ?? last)
        return { ...placed, observedAt: last }
      case 'passed-over':
        return { ...placed, observedAt: last }
      case 'bad':
        return { type: 'bad-line', cause: placed.cause, observedAt: last, file, line }
      default:
        return assertNever(placed)
    }
  }
}

/** When the object was last written, as far as it says; whole seconds. */
export function estimatedTime(placed: PlacedEvent): number | undefined {
  if (placed.type !== 'event' || placed.event.type === 'BOOKMARK') return undefined
  const { managedFields, creationTimestamp } = placed.event.object.metadata
  const entries = Array.isArray(managedFields) ? managedFields.filter(isJsonObject) : []
  const times = entries.flatMap((entry) => timeOf(entry['time']))
  return times.length > 0 ? times.reduce((latest, time) => Math.max(latest, time)) : timeOf(creationTimestamp)[0]
}

function timeOf(value: unknown): readonly number[] {
  const time = typeof value === 'string' ? parseRfc3339(value) : undefined
  return time === undefined ? [] : [time]
}
