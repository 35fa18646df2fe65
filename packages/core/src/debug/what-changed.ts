import { assertNever } from '../model/language.js'
import { type Endpoint, endpointCondition, endpointKey } from '../model/endpoint.js'
import type { ObjectRecord } from '../model/record.js'
import type { RulePlanner } from '../ports/dataplane.js'
import { describeChange } from './describe-change.js'
import { type BlamedRule, type PortMoment, type RuleChange, usedEndpoints } from './rule-history.js'

/**
 * What a change was to one rule, in a few words for people: `endpoint 10.244.1.14:8080 (checkout-v1-0): not ready -> ready`,
 * `2 -> 0 endpoints in use`, `Service: selector app=a -> app=b`.
 */
export function whatChanged(
  { cause, before, after }: RuleChange,
  { item }: Pick<BlamedRule, 'item'>,
  { endpointOf }: Pick<RulePlanner, 'endpointOf'>,
): string {
  switch (cause.type) {
    case 'start':
      return 'there where the log begins'
    case 'config':
      return 'the configuration'
    case 'object':
      break
    default:
      assertNever(cause)
  }
  const { record, previous } = cause
  if (record.kind !== 'EndpointSlice') return objectChange(record, previous)
  const endpoint = (before && endpointOf(item, before)) ?? (after && endpointOf(item, after))
  return endpoint === undefined ? countChange({ before, after }) : endpointChange(endpoint, { before, after })
}

/** What changed a rule's odds and nothing else of it: `neighbour 10.244.1.9:8080 came`. */
export function whoseOdds({ cause, before, after }: RuleChange): string {
  const [was, is] = [usedEndpoints(before), usedEndpoints(after)]
  const came = is.filter((one) => !was.some((other) => isSame(one, other)))
  const left = was.filter((one) => !is.some((other) => isSame(one, other)))
  const parts = [...told(came, 'came'), ...told(left, 'left')]
  if (parts.length > 0) return parts.join(', ')
  return cause.type === 'object' ? objectChange(cause.record, cause.previous) : countChange({ before, after })
}

interface Moments {
  readonly before: PortMoment | undefined
  readonly after: PortMoment | undefined
}

function told(endpoints: readonly Endpoint[], verb: string): readonly string[] {
  const [only] = endpoints
  if (only === undefined) return []
  return [endpoints.length === 1 ? `neighbour ${named(only)} ${verb}` : `${endpoints.length} neighbours ${verb}`]
}

function objectChange(record: ObjectRecord, previous: ObjectRecord | undefined): string {
  const { kind, event, object } = record
  if (event === 'DELETED') return `${kind} deleted`
  if (event === 'ADDED' && previous === undefined) return `${kind} ${isNew(record) ? 'created' : 'first seen'}`
  const [first = '', ...others] = describeChange({ event, previous: previous?.object, object })
  return `${kind}: ${first}${others.length === 0 ? '' : ` and ${others.length} more`}`
}

/** What a watch reports as added may have been there for long. */
function isNew({ object, observedAt }: ObjectRecord): boolean {
  const created = object.metadata['creationTimestamp']
  return typeof created === 'string' && observedAt - Date.parse(created) < SOON_MS
}

/** Times of creation are whole seconds, and clocks differ. */
const SOON_MS = 10_000

const countChange = ({ before, after }: Moments): string =>
  `${usedEndpoints(before).length} -> ${usedEndpoints(after).length} endpoints in use`

function endpointChange(endpoint: Endpoint, { before, after }: Moments): string {
  const was = before?.endpoints.find((one) => isSame(one, endpoint))
  const is = after?.endpoints.find((one) => isSame(one, endpoint))
  const name = `endpoint ${named(endpoint)}`
  if (was === undefined) return `${name} came`
  if (is === undefined) return `${name} left`
  const conditions = [endpointCondition(was), endpointCondition(is)]
  if (conditions[0] !== conditions[1]) return `${name}: ${conditions.join(' -> ')}`
  const isUsed = usedEndpoints(after).some((one) => isSame(one, endpoint))
  return `${name} ${isUsed ? 'in use' : 'no longer in use'}: ${countChange({ before, after })}`
}

const named = (endpoint: Endpoint): string =>
  `${endpointKey(endpoint)}${endpoint.pod === undefined ? '' : ` (${endpoint.pod})`}`

const isSame = (one: Endpoint, other: Endpoint): boolean => one.address === other.address && one.port === other.port
