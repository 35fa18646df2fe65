import {
  type Diagnostic,
  type DiagnosticCode,
  endpointsOfSlice,
  type KubernetesObject,
  nodeInfoOf,
  servicePortsOf,
  type WatchEvent,
} from '@pointsman/core'
import { countOf } from '../output/duration.js'
import type { AgentLine } from './agent-log.js'

/**
 * What an agent says of objects that hold what cannot be read: one line an object, again when something else is wrong with it.
 * The rest of the object counts, and so do all others. What is legal, and means no rules, is told at verbosity 2.
 */
export function createObjectLines(): (event: WatchEvent) => readonly AgentLine[] {
  const said = new Map<string, string>()
  return (event) => {
    if (event.type === 'BOOKMARK') return []
    const { kind, metadata } = event.object
    const key = `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
    const diagnostics = event.type === 'DELETED' ? [] : diagnosticsOf(event.object)
    const message = textOf(diagnostics)
    if (message === undefined) {
      said.delete(key)
      return []
    }
    if (said.get(key) === message) return []
    said.set(key, message)
    const verbosity = diagnostics.every(({ code }) => LEGAL.has(code)) ? 2 : 0
    return [{ level: 'warn', message, verbosity }]
  }
}

function diagnosticsOf(object: KubernetesObject): readonly Diagnostic[] {
  switch (object.kind) {
    case 'Service':
      return servicePortsOf(object).diagnostics
    case 'EndpointSlice':
      return endpointsOfSlice(object).diagnostics
    case 'Node':
      return nodeInfoOf(object).diagnostics
  }
}

function textOf(diagnostics: readonly Diagnostic[]): string | undefined {
  const [first] = diagnostics
  if (first === undefined) return undefined
  const shown = diagnostics.slice(0, MAX_SHOWN).map(({ message }) => message)
  const more = diagnostics.length - shown.length
  const rest = more > 0 ? `; and ${countOf(more, 'field')} more` : ''
  return `${first.object} is used without what cannot be read: ${shown.join('; ')}${rest}`
}

const MAX_SHOWN = 3
const LEGAL: ReadonlySet<DiagnosticCode> = new Set<DiagnosticCode>(['NO_SERVICE_NAME', 'UNSUPPORTED_ADDRESS_TYPE'])
