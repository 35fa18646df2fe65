import { isJsonObject } from './json-value.js'
import type { Json, JsonObject, KubernetesObject } from './kubernetes-object.js'
import { visible } from './shown-text.js'

/** Something in an object that was left out or read otherwise than written. Never an exception: the rest still counts. */
export interface Diagnostic {
  readonly code: DiagnosticCode
  /** `Service shop/checkout`. */
  readonly object: string
  /** Where in the object: `spec.loadBalancerSourceRanges[1]`. */
  readonly path: string
  readonly value?: Json
  readonly message: string
}

export const DIAGNOSTIC_CODES = {
  NOT_AN_ADDRESS: 'the value is not an IP address',
  NOT_A_CIDR: 'the value is not a CIDR',
  NOT_A_PORT: 'the value is not a port number from 1 to 65535',
  UNKNOWN_PROTOCOL: 'the protocol is not TCP, UDP or SCTP',
  OTHER_FAMILY: 'the address is not of an IP family of the Service or EndpointSlice',
  WRONG_TYPE: 'the field does not have the type that the API defines',
  UNKNOWN_VALUE: 'the value is not one that the API defines',
  OUT_OF_RANGE: 'the number is outside the range that the API allows',
  INVALID_NAME: 'the name is not valid in the API, and cannot be used in a rule',
  DUPLICATE_PORT: 'an earlier port has the same name and protocol',
  NO_SERVICE_NAME: 'the EndpointSlice has no kubernetes.io/service-name label, so it belongs to no Service',
  UNSUPPORTED_ADDRESS_TYPE: "the EndpointSlice's addressType is neither IPv4 nor IPv6",
  NO_PORT_NAME: 'the port has no name, not even an empty one: ignored, as by kube-proxy',
  NO_PORT_NUMBER: 'the port has no number: ignored, as by kube-proxy',
  NO_ADDRESS: 'the endpoint has no address',
  NO_HEALTH_CHECK_PORT: 'the policy requires a health-check node port and the Service has none',
} as const
export type DiagnosticCode = keyof typeof DIAGNOSTIC_CODES

/**
 * Reads values that should have a type. Absent and null are `undefined` (lists: empty), and so is a value of another
 * type, with a WRONG_TYPE diagnostic. `field` and `index` only say where the value stood: `base.field`,
 * `base[index].field`, `base[index]` for an empty field.
 */
export interface FieldReader {
  text(value: Json | undefined, field: string, index?: number): string | undefined
  flag(value: Json | undefined, field: string, index?: number): boolean | undefined
  record(value: Json | undefined, field: string, index?: number): JsonObject | undefined
  list(value: Json | undefined, field: string, index?: number): readonly Json[]
  /** Where a field stands, for diagnostics of other codes. */
  path(field: string, index?: number): string
}

export function fieldReader(findings: Findings, base: string): FieldReader {
  const path = (field: string, index?: number): string => {
    const holder = index === undefined ? base : `${base}[${index}]`
    if (holder === '' || field === '') return `${holder}${field}`
    return `${holder}.${field}`
  }
  const wrongType = (value: Json | undefined, field: string, index?: number): undefined => {
    if (value !== undefined && value !== null) findings.report('WRONG_TYPE', path(field, index), value)
  }
  return {
    text: (value, field, index) => (typeof value === 'string' ? value : wrongType(value, field, index)),
    flag: (value, field, index) => (typeof value === 'boolean' ? value : wrongType(value, field, index)),
    record: (value, field, index) => (isJsonObject(value) ? value : wrongType(value, field, index)),
    list(value, field, index) {
      if (isList(value)) return value
      wrongType(value, field, index)
      return NOTHING
    },
    path,
  }
}

/** Whether a value is an integer from 1 to 65535. */
export const isPortNumber = (value: Json | undefined): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535

const NOTHING: readonly Json[] = []

// Array.isArray does not narrow a readonly list.
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

/** Gathers what is wrong with one object while it is read. */
export interface Findings {
  /** `path` and `value` say where in the object and what stands there. */
  report(code: DiagnosticCode, path: string, value?: Json): void
  /** In the order of reporting; the same empty list for every object without any. */
  all(): readonly Diagnostic[]
}

export function findingsOf(object: KubernetesObject): Findings {
  let found: Diagnostic[] | undefined
  return {
    report: (code, path, value) => {
      found ??= []
      found.push(diagnosticOf(object, { code, path, value }))
    },
    all: () => found ?? NO_FINDINGS,
  }
}

const NO_FINDINGS: readonly Diagnostic[] = []
const LONGEST = 100

interface Finding {
  readonly code: DiagnosticCode
  readonly path: string
  readonly value: Json | undefined
}

function diagnosticOf(object: KubernetesObject, { code, path, value }: Finding): Diagnostic {
  const shown = value === undefined ? '' : ` (${describe(value)})`
  const message = `${path}${shown}: ${DIAGNOSTIC_CODES[code]}`
  const scalar = value !== undefined && typeof value !== 'object'
  const kept = typeof value === 'string' && value.length > LONGEST ? `${value.slice(0, LONGEST)}...` : value
  const base = { code, object: objectLabel(object), path, message }
  return scalar && kept !== undefined ? { ...base, value: kept } : base
}

/** Lists and objects are not spelt out: they may be of any size, and one built from YAML may hold itself. */
function describe(value: Json): string {
  if (typeof value === 'string') return `"${visible(value)}"`
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

function objectLabel({ kind, metadata }: KubernetesObject): string {
  // Types promise strings here; a file from outside keeps no promises.
  const part = (value: Json | undefined): string => (typeof value === 'string' ? visible(value) : '')
  const name = part(metadata.name)
  return metadata.namespace === undefined ? `${kind} ${name}` : `${kind} ${part(metadata.namespace)}/${name}`
}
