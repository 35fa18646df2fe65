/** The form of a JSON value, from which documents are checked and `docs/json.md` is rendered. */
export type Shape =
  | { readonly type: 'string' | 'number' | 'integer' | 'boolean' | 'time' | 'any' }
  | { readonly type: 'enum'; readonly values: readonly string[] }
  | { readonly type: 'list'; readonly of: Shape }
  /** An object with any names. */
  | { readonly type: 'map'; readonly of: Shape }
  | { readonly type: 'object'; readonly fields: Fields; readonly name?: string }

export interface Field {
  readonly shape: Shape
  readonly meaning: string
  /** May be absent; it is never null. */
  readonly optional?: true
}

export type Fields = Readonly<Record<string, Field>>

export const text: Shape = { type: 'string' }
export const integer: Shape = { type: 'integer' }
export const number: Shape = { type: 'number' }
export const flag: Shape = { type: 'boolean' }
/** RFC 3339, UTC, milliseconds. */
export const time: Shape = { type: 'time' }
export const listOf = (of: Shape): Shape => ({ type: 'list', of })
export const oneOf = (...values: readonly string[]): Shape => ({ type: 'enum', values })
/** `name` is what other shapes and the document call it. */
export const objectOf = (name: string, fields: Fields): Shape => ({ type: 'object', fields, name })
export const required = (shape: Shape, meaning: string): Field => ({ shape, meaning })
export const optional = (shape: Shape, meaning: string): Field => ({ shape, meaning, optional: true })

/** Where a value is not of a shape: `$.items[3].port: no integer`. A field that the shape does not have counts. */
export function shapeProblems(value: unknown, shape: Shape, path = '$'): readonly string[] {
  switch (shape.type) {
    case 'any':
      return value === undefined || value === null ? [`${path}: missing`] : []
    case 'string':
    case 'boolean':
    case 'number':
      return typeof value === shape.type ? [] : [`${path}: no ${shape.type}`]
    case 'integer':
      return Number.isSafeInteger(value) ? [] : [`${path}: no integer`]
    case 'time':
      return typeof value === 'string' && TIME.test(value) ? [] : [`${path}: no time`]
    case 'enum':
      return shape.values.some((known) => known === value) ? [] : [`${path}: none of ${shape.values.join(', ')}`]
    case 'list':
      if (!Array.isArray(value)) return [`${path}: no list`]
      return value.flatMap((item: unknown, index) => shapeProblems(item, shape.of, `${path}[${index}]`))
    case 'map':
      if (!isRecord(value)) return [`${path}: no object`]
      return Object.entries(value).flatMap(([name, item]) => shapeProblems(item, shape.of, `${path}.${name}`))
    case 'object':
      return isRecord(value) ? objectProblems(value, shape.fields, path) : [`${path}: no object`]
  }
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

function objectProblems(value: Readonly<Record<string, unknown>>, fields: Fields, path: string): readonly string[] {
  const unknown = Object.keys(value).filter((name) => fields[name] === undefined)
  return [
    ...unknown.map((name) => `${path}.${name}: not in the shape`),
    ...Object.entries(fields).flatMap(([name, { shape, optional }]) =>
      value[name] === undefined && optional === true ? [] : shapeProblems(value[name], shape, `${path}.${name}`),
    ),
  ]
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
