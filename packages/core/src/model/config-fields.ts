/** Something in a configuration that cannot be used, and where: `iptables.syncPeriod`. */
export interface ConfigError {
  /** Empty for the document as a whole. */
  readonly path: string
  readonly message: string
}

/** Reads fields of one mapping in a configuration: a field that is absent or null is undefined, one of another type an error. */
export interface ConfigFields {
  text(name: string): string | undefined
  flag(name: string): boolean | undefined
  integer(name: string): number | undefined
  /** Any finite number. */
  number(name: string): number | undefined
  texts(name: string): readonly string[] | undefined
  /** A mapping within; an empty one where it is absent. */
  within(name: string): ConfigFields
  /** What is there, whatever it is. */
  value(name: string): unknown
  /** Reports a field whose value has the right type and still cannot be used. */
  reject(name: string, message: string): void
  /** Names of the fields that are there, with their full paths. */
  names(): readonly { readonly name: string; readonly path: string }[]
}

export function configFields(value: unknown, path: string, errors: ConfigError[]): ConfigFields {
  const pathOf = (name: string): string => (path === '' ? name : `${path}.${name}`)
  const fields: ReadonlyMap<string, unknown> = isMapping(value) ? new Map(Object.entries(value)) : new Map()
  const reject = (name: string, message: string): void => {
    errors.push({ path: pathOf(name), message })
  }
  if (!isMapping(value) && value !== undefined && value !== null) {
    errors.push({ path, message: `must be a mapping, and is ${describe(value)}` })
  }
  const read = <Value>(name: string, wanted: string, is: (field: unknown) => field is Value): Value | undefined => {
    const field = fields.get(name)
    if (field === undefined || field === null) return undefined
    if (is(field)) return field
    reject(name, `must be ${wanted}, and is ${describe(field)}`)
    return undefined
  }
  return {
    text: (name) => read(name, 'a text', isText),
    flag: (name) => read(name, 'true or false', isFlag),
    integer: (name) => read(name, 'a whole number', isInteger),
    number: (name) => read(name, 'a number', isNumber),
    texts: (name) => read(name, 'a list of texts', isTexts),
    within: (name) => configFields(fields.get(name), pathOf(name), errors),
    value: (name) => fields.get(name),
    reject,
    names: () => [...fields.keys()].map((name) => ({ name, path: pathOf(name) })),
  }
}

const isMapping = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string'
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isInteger = (value: unknown): value is number => Number.isSafeInteger(value)
const isNumber = (value: unknown): value is number => Number.isFinite(value)
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText)

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'string')
    return JSON.stringify(value.length > MOST_SHOWN ? `${value.slice(0, MOST_SHOWN)}...` : value)
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`
}

/** A file that is no configuration at all may be one long text. */
const MOST_SHOWN = 80
