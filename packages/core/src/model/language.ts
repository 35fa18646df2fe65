declare const brand: unique symbol

/** A value that must not be mixed up with another of the same type: `Brand<string, 'ServicePortName'>`. */
export type Brand<Value, Name extends string> = Value & { readonly [brand]: Name }

/** Ends a `switch` over a union: the compiler refuses a case that was forgotten, and a bug crashes here. */
export function assertNever(value: never): never {
  throw new Error(`not a case that exists: ${JSON.stringify(value)}`)
}

/** What an error says; anything that can be thrown has words. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The code of an error that has one, as the errors of this project and of Node have. */
export const codeOf = (error: unknown, otherwise = 'UNKNOWN'): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : otherwise

/** `a, b and 4 more`: the first texts of a list, and how many more it has. `count`: of the whole list, where `texts` is its beginning. */
export function shortList(texts: readonly string[], most: number, count = texts.length): string {
  const shown = texts.slice(0, most)
  return `${shown.join(', ')}${count > shown.length ? ` and ${count - shown.length} more` : ''}`
}

/** What a walk in steps returns in the end, all its steps done one after the other. */
export function atOnce<Result>(steps: Iterator<unknown, Result, undefined>): Result {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}
