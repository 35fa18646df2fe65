/** One option of a match or target that rules keep word by word. */
export interface GivenOption {
  readonly negated: boolean
  readonly values: readonly string[]
}

export type Options = ReadonlyMap<string, GivenOption>

/** The options among the words of a match or target, without quotes. Undefined: one is there twice, or the words begin with none. */
export function optionsOf(words: readonly string[]): Options | undefined {
  const options = new Map<string, { readonly negated: boolean; readonly values: string[] }>()
  let isDenied = false
  let values: string[] | undefined
  for (const spelling of words) {
    if (spelling === '!') isDenied = true
    else if (spelling.startsWith('--')) {
      if (options.has(spelling)) return undefined
      values = []
      options.set(spelling, { negated: isDenied, values })
      isDenied = false
    } else if (values === undefined) return undefined
    else {
      // `--state ! NEW`, as older versions have it.
      const name = [...options.keys()].at(-1) ?? ''
      if (isDenied) options.set(name, { negated: true, values })
      isDenied = false
      values.push(unquoted(spelling))
    }
  }
  return isDenied ? undefined : options
}

const unquoted = (word: string): string =>
  word.startsWith('"') && word.endsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, '$1') : word

/** `0x4000/0x4000`, `5`: without a mask, all bits count. Undefined: none. */
export function maskedNumberOf(text: string): { readonly value: number; readonly mask: number } | undefined {
  const [value = '', mask = '0xffffffff', ...rest] = text.split('/')
  if (rest.length > 0 || ![value, mask].every((part) => /^(?:0x[\da-f]{1,8}|\d{1,10})$/i.test(part))) return undefined
  return { value: Number(value), mask: Number(mask) }
}
