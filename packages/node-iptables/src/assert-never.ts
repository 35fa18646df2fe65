/** The end of a `switch` over a union: that no case is left is checked by the compiler. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`)
}
