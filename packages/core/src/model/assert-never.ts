/** Ends a `switch` over a union: the compiler refuses a case that was forgotten, and a bug crashes here. */
export function assertNever(value: never): never {
  throw new Error(`not a case that exists: ${JSON.stringify(value)}`)
}
