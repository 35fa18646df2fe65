/** One option of a match or target as a rule gives it. */
export interface GivenOption {
  readonly negated: boolean
  readonly values: readonly string[]
}

export interface OptionForm {
  /** How many words follow it. */
  readonly values: number
  readonly negatable?: true
}

/** How a match or a target is read from its options. */
export interface ExtensionReader<T> {
  /** Its options, under their own names. */
  readonly options: Readonly<Record<string, OptionForm>>
  /** Other names of the same options. */
  readonly aliases?: Readonly<Record<string, string>>
  /** Undefined: the options or their values are not of the kind that is understood here. */
  readonly read: (given: ReadonlyMap<string, GivenOption>) => T | undefined
}

/** How it is read, and spelt as iptables-save does. */
export interface Extension<T> extends ExtensionReader<T> {
  /** The words after `-m NAME` or `-j NAME`. Undefined: no line can say this. */
  readonly write: (value: T) => readonly string[] | undefined
}

/** The words of one option. */
export const optionWords = (
  name: string,
  { negated = false, value }: { readonly negated?: boolean; readonly value?: string | undefined } = {},
): readonly string[] => [...(negated ? ['!'] : []), name, ...(value === undefined ? [] : [value])]

/** An option without a value: whether it is there. */
export const flagWords = (name: string, isGiven: boolean): readonly string[] => (isGiven ? [name] : [])

/** Reads an option's one value. Undefined: not given. `wrong`: given with a value that `read` does not take. */
export function valueOf<T>(
  given: ReadonlyMap<string, GivenOption>,
  name: string,
  read: (text: string) => T | undefined,
): (T & { readonly negated: boolean }) | undefined | 'wrong' {
  const option = given.get(name)
  if (option === undefined) return undefined
  const value = read(option.values[0] ?? '')
  return value === undefined ? 'wrong' : { ...value, negated: option.negated }
}
