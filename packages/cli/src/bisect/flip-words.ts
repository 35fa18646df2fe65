import { assertNever, describeChange, type FateFlip, type FlipCause, type PacketFate } from '@pointsman/core'
import { objectName } from '../history/record-text.js'

/** `reaches 2 endpoints`, `is rejected`. */
export function fateWords({ verdict, endpoints }: Pick<PacketFate, 'verdict' | 'endpoints'>): string {
  switch (verdict) {
    case 'endpoints':
      return endpoints.length === 1 ? 'reaches 1 endpoint' : `reaches ${endpoints.length} endpoints`
    case 'rejected':
      return 'is rejected'
    case 'dropped':
      return 'is dropped'
    case 'no-service':
      return 'is not for a Service'
    default:
      return assertNever(verdict)
  }
}

/** `reached 2 endpoints`, `was rejected`. */
export const pastWords = (fate: PacketFate): string =>
  fateWords(fate)
    .replace(/^reaches/, 'reached')
    .replace(/^is/, 'was')

/** `EndpointSlice shop/checkout-wbn79`, `the effective configuration`. */
export const flipSubject = ({ record }: Pick<FateFlip, 'record'>): string =>
  record.type === 'config' ? 'the effective configuration' : objectName(record)

interface Told {
  readonly record: FateFlip['record']
  readonly previous?: FateFlip['previous'] | undefined
}

/** What the record changed, in phrases. */
export function flipChanges({ record, previous }: Told): readonly string[] {
  if (record.type === 'config') return []
  return describeChange({ event: record.event, previous, object: record.object })
}

/** What there is to say of a cause beside its record; undefined: the record says it. */
export function causeWords(cause: FlipCause): string | undefined {
  switch (cause.type) {
    case 'itself':
    case 'service-edit':
      return undefined
    case 'slice-edit':
      return 'the EndpointSlice itself was edited: no controller manages it, or its service-name label changed'
    case 'pods-gone':
      return `the pods were removed, ${NO_EDIT}`
    case 'not-ready':
      return `the pods are no longer ready, ${NO_EDIT}`
    case 'port-gone':
      return `the pods no longer have the port, ${NO_EDIT}`
    case 'hints':
      return `topology hints, zones or nodes of the endpoints changed, ${NO_EDIT}`
    case 'ready':
      return `the pods became ready, ${NO_EDIT}`
    case 'pods-came':
      return `pods were added, ${NO_EDIT}`
    default:
      return assertNever(cause)
  }
}

const NO_EDIT = 'and the Service was not edited: the log does not show the reason'
