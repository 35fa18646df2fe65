import { assertNever, isFlap, isOpen } from '@pointsman/core'
import type { Author, ObjectRecord, Outage } from '@pointsman/core'
import { objectName } from '../history/record-text.js'
import { formatDuration } from '../output/duration.js'
import { formatTime } from '../output/json.js'

/** The conclusion: `shop/checkout had no endpoints for 6.3 s`. */
export function headline(outage: Outage): string {
  const { service, durationMs } = outage
  if (isOpen(outage))
    return `${service} has had no endpoints for ${formatDuration(durationMs)}, up to the end of the recording`
  return `${service} had no endpoints for ${formatDuration(durationMs)}`
}

/** One line: the time, the slice that emptied, the edit behind it and who made that. */
export function emptyingLine(outage: Outage): string {
  const { emptiedBy, endpointsBefore, cause } = outage
  const endpoints = endpointsBefore === 1 ? 'its last endpoint' : `its last ${endpointsBefore} endpoints`
  const what = `${objectName(emptiedBy)} lost ${endpoints}`
  return `${timeOfDay(emptiedBy)}  ${what}${causeClause(cause, emptiedBy)}`
}

function causeClause(cause: Outage['cause'], emptiedBy: ObjectRecord): string {
  switch (cause.type) {
    case 'service-edit': {
      const { record, changes } = cause.edit
      const gap = emptiedBy.observedAt - record.observedAt
      // Watches of two kinds are not ordered against each other.
      const after = gap > 0 ? `${formatDuration(gap)} after` : 'when'
      return `, ${after} ${nameOf(record.author)} changed ${objectName(record)}: ${changes.join('; ')}`
    }
    case 'slice-edit':
      return `: ${nameOf(emptiedBy.author)} edited the EndpointSlice itself`
    case 'pods-gone':
      return ': the pods were removed, and the Service was not edited'
    case 'not-ready':
      return ': the pods are not ready, and the Service was not edited'
    case 'port-gone':
      return ': the pods do not have the port, and the Service was not edited'
    default:
      return assertNever(cause)
  }
}

/** How it ended; undefined while it lasts. */
export function repairLine({ repair, deletedBy, emptiedBy }: Outage): string | undefined {
  if (deletedBy !== undefined) return `${timeOfDay(deletedBy)}  ${objectName(deletedBy)} was deleted`
  if (repair === undefined) return undefined
  const { record, edit } = repair
  if (edit === undefined) return `${timeOfDay(record)}  ${objectName(record)} had endpoints again`
  const later = formatDuration(edit.record.observedAt - emptiedBy.observedAt)
  return `${timeOfDay(edit.record)}  ${nameOf(edit.record.author)} fixed it ${later} later: ${edit.changes.join('; ')}`
}

/** What else lost its endpoints, a line a Service: `shop/auth 5 times (flapping), for 1.3 s in all`. */
export function otherLines(outages: readonly Outage[]): readonly string[] {
  const byService = new Map<string, Outage[]>()
  for (const outage of outages) byService.set(outage.service, [...(byService.get(outage.service) ?? []), outage])
  return [...byService].map(([service, all]) => {
    const total = formatDuration(all.reduce((sum, { durationMs }) => sum + durationMs, 0))
    const often = all.length === 1 ? 'once' : `${all.length} times`
    return `${service} ${often}${all.some(isFlap) ? ' (flapping)' : ''}, for ${total}${all.length === 1 ? '' : ' in all'}`
  })
}

const nameOf = (author: Author | undefined): string => author?.manager ?? 'an unknown author'

/** `02:24:44.181`: the day is said once, above. */
const timeOfDay = ({ observedAt }: ObjectRecord): string => formatTime(observedAt).slice(11, 23)
