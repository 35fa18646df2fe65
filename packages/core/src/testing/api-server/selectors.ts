import { type ApiResource, fieldText } from './api-resource.js'
import { isJsonObject } from '../../model/json-value.js'
import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'

export type Matches = (object: KubernetesObject) => boolean

/** Says what is wrong with a selector; its message is the server's. */
export interface BadSelector {
  readonly type: 'bad-selector'
  readonly message: string
}

/**
 * What a list's or watch's `labelSelector` and `fieldSelector` let through, in Kubernetes' syntax: `a`, `!a`, `a=b`,
 * `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, joined by commas; of fields, equality alone.
 */
export function parseSelectors(
  { labelSelector = '', fieldSelector = '' }: { readonly labelSelector?: string; readonly fieldSelector?: string },
  resource: ApiResource,
): Matches | BadSelector {
  const labels = termsOf(labelSelector).map(labelTerm)
  const fields = termsOf(fieldSelector).map((term) => fieldTerm(term, resource))
  const terms = [...labels, ...fields]
  const bad = terms.find((term) => typeof term !== 'function')
  if (bad !== undefined && typeof bad !== 'function') return bad
  return (object) => terms.every((term) => typeof term === 'function' && term(object))
}

/** Split at the commas that are not in brackets. */
const termsOf = (selector: string): readonly string[] =>
  selector
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '')

const bad = (message: string): BadSelector => ({ type: 'bad-selector', message })

const LABEL_TERM = /^(?:(!)\s*)?([\w./-]+)(?:\s*(==|=|!=)\s*([\w.-]*)|\s+(in|notin)\s*\(([^)]*)\))?$/

function labelTerm(term: string): Matches | BadSelector {
  const [, not, key, operator, value = '', set, members = ''] = LABEL_TERM.exec(term) ?? []
  if (key === undefined || (not !== undefined && (operator ?? set) !== undefined)) {
    return bad(`unable to parse requirement: ${term}`)
  }
  const label = (object: KubernetesObject): string | undefined => labelsOf(object)[key]
  if (set !== undefined) {
    const among = new Set(members.split(',').map((member) => member.trim()))
    return (object) => {
      const found = label(object)
      return (found !== undefined && among.has(found)) === (set === 'in')
    }
  }
  if (operator === undefined) return (object) => (label(object) !== undefined) === (not === undefined)
  return (object) => (label(object) === value) === (operator !== '!=')
}

function fieldTerm(term: string, resource: ApiResource): Matches | BadSelector {
  const [, path, operator, value = ''] = /^([\w.]+)(==|=|!=)(.*)$/.exec(term) ?? []
  if (path === undefined) return bad(`invalid selector: '${term}'; can't understand '${term}'`)
  const known = ['metadata.name', 'metadata.namespace', ...resource.selectableFields]
  if (!known.includes(path)) return bad(`field label not supported: ${path}`)
  return (object) => (fieldText(object, path) === value) === (operator !== '!=')
}

function labelsOf({ metadata }: KubernetesObject): { readonly [key: string]: string | undefined } {
  const labels: JsonObject = isJsonObject(metadata['labels']) ? metadata['labels'] : {}
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
