import { DIAGNOSTIC_CODES } from './diagnostic.js'
import type { Diagnostic, DiagnosticCode } from './diagnostic.js'
import type { Json, KubernetesObject } from './kubernetes-object.js'
import { visible } from './shown-text.js'

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
    all: () => found ?? NOTHING,
  }
}

const NOTHING: readonly Diagnostic[] = []
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
