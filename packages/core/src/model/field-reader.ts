import type { Findings } from './findings.js'
import { isJsonObject } from './is-json-object.js'
import type { Json, JsonObject } from './kubernetes-object.js'

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
