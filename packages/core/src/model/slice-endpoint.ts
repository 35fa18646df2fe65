import { parseAddress } from './address.js'
import type { IpFamily } from './address.js'
import type { Endpoint } from './endpoint.js'
import type { FieldReader } from './field-reader.js'
import type { Findings } from './findings.js'
import type { Json, JsonObject } from './kubernetes-object.js'

/** What is the same for all endpoints of a slice: made once, because this is the hot path of every replay. */
export interface SliceReading {
  readonly family: IpFamily
  readonly port: number
  readonly fields: FieldReader
  readonly findings: Findings
}

/** One entry of `endpoints` on one port; `undefined` with a diagnostic where it has no address that can be used. */
export function readSliceEndpoint(item: Json | undefined, index: number, reading: SliceReading): Endpoint | undefined {
  const { fields } = reading
  const record = fields.record(item, '', index)
  if (record === undefined) return undefined
  const address = addressOf(record, index, reading)
  if (address === undefined) return undefined
  const conditions = fields.record(record['conditions'], 'conditions', index)
  const endpoint: Mutable<Endpoint> = {
    address,
    port: reading.port,
    ready: fields.flag(conditions?.['ready'], 'conditions.ready', index) ?? true,
    serving: fields.flag(conditions?.['serving'], 'conditions.serving', index) ?? true,
    terminating: fields.flag(conditions?.['terminating'], 'conditions.terminating', index) ?? false,
  }
  // Assigned one by one: this runs for every endpoint of every event, and spreads of halves cost several times as much.
  const nodeName = fields.text(record['nodeName'], 'nodeName', index) ?? ''
  if (nodeName !== '') endpoint.nodeName = nodeName
  const zone = fields.text(record['zone'], 'zone', index) ?? ''
  if (zone !== '') endpoint.zone = zone
  const hints = fields.record(record['hints'], 'hints', index)
  if (hints !== undefined) addHints(endpoint, hints, { index, fields })
  const target = fields.record(record['targetRef'], 'targetRef', index)
  const pod = target?.['kind'] === 'Pod' ? (fields.text(target['name'], 'targetRef.name', index) ?? '') : ''
  if (pod !== '') endpoint.pod = pod
  return endpoint
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] }

/** Only the first address counts: all addresses of an endpoint lead to the same place (as in kube-proxy). */
function addressOf(record: JsonObject, index: number, { family, fields, findings }: SliceReading): string | undefined {
  const first = fields.list(record['addresses'], 'addresses', index)[0]
  if (first === undefined) {
    findings.report('NO_ADDRESS', fields.path('addresses', index))
    return undefined
  }
  const address = typeof first === 'string' ? parseAddress(first) : undefined
  if (address?.family === family) return address.text
  findings.report(address === undefined ? 'NOT_AN_ADDRESS' : 'OTHER_FAMILY', fields.path('addresses[0]', index), first)
  return undefined
}

interface HintsPlace {
  readonly index: number
  readonly fields: FieldReader
}

function addHints(endpoint: Mutable<Endpoint>, hints: JsonObject, place: HintsPlace): void {
  const zones = hintNames(hints, 'forZones', place)
  if (zones.length > 0) endpoint.zoneHints = zones
  const nodes = hintNames(hints, 'forNodes', place)
  if (nodes.length > 0) endpoint.nodeHints = nodes
}

function hintNames(
  hints: JsonObject,
  field: 'forZones' | 'forNodes',
  { index, fields }: HintsPlace,
): readonly string[] {
  const names = new Set<string>()
  for (const [position, item] of fields.list(hints[field], `hints.${field}`, index).entries()) {
    const hint = fields.record(item, `hints.${field}[${position}]`, index)
    const name = fields.text(hint?.['name'], `hints.${field}[${position}].name`, index) ?? ''
    if (name !== '') names.add(name)
  }
  return [...names].toSorted()
}
