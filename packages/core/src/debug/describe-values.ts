import { isJsonObject } from '../model/is-json-object.js'
import type { Json, JsonObject } from '../model/kubernetes-object.js'

/** A value in a phrase: text as it is, maps as `a=1,b=2`, nothing as `none`, what is long cut to 80 characters. */
export function formatValue(value: Json | undefined, path = ''): string {
  const text = untrimmed(value, path)
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 3)}...`
}

const LONGEST = 80

function untrimmed(value: Json | undefined, path: string): string {
  if (value === undefined || value === null || value === '') return 'none'
  if (typeof value === 'string') return value.replaceAll(/\s+/g, ' ')
  if (Array.isArray(value)) return value.length === 0 ? 'none' : listOf(value).map(formatItem).join(',')
  if (path === 'spec.selector' && isJsonObject(value)) return formatMap(value)
  return formatItem(value)
}

const formatItem = (value: Json): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** `app=checkout,tier=backend`, sorted by key; `none` for an empty one. */
export function formatMap(map: JsonObject): string {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.length === 0
    ? 'none'
    : entries.map(([key, value]) => `${key}=${value === undefined ? '' : formatItem(value)}`).join(',')
}

/** The ports of a Service: `http 80/TCP -> 8080, 53/UDP`. */
export function describeServicePorts(ports: Json | undefined): string {
  return objectsIn(ports).map(describeServicePort).join(', ')
}

function describeServicePort(port: JsonObject): string {
  const target = port['targetPort']
  const arrow = target === undefined || target === null || target === port['port'] ? '' : ` -> ${formatItem(target)}`
  return `${describePort(port)}${arrow}`
}

/** The ports of a slice: `http 8080/TCP, metrics 9090/TCP`; `none` where it has none. */
export function describePorts(ports: Json | undefined): string {
  const list = objectsIn(ports)
  return list.length === 0 ? 'none' : list.map(describePort).join(', ')
}

function describePort(port: JsonObject): string {
  const name = textOf(port['name']) ?? ''
  const number = port['port'] === undefined || port['port'] === null ? '?' : formatItem(port['port'])
  return `${name === '' ? '' : `${name} `}${number}/${textOf(port['protocol']) ?? 'TCP'}`
}

export const fieldsOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})

export const objectsIn = (value: Json | undefined): readonly JsonObject[] => listOf(value).filter(isJsonObject)

/** The items of a list; none where it is no list. */
export const listOf = (value: Json | undefined): readonly Json[] =>
  Array.isArray(value) ? (value as readonly Json[]) : []

export const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

/** `1 endpoint`, `2 endpoints`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
