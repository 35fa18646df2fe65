/**
 * Arguments that begin with a dash and are no options: `-5m` for `diff`, a rule `-A CHAIN ...` for `blame`. A space before
 * them keeps the parser from taking them for options; who reads them trims.
 */
export function shieldDashed(argv: readonly string[]): readonly string[] {
  const dashed = DASHED[argv[0] ?? '']
  return dashed === undefined ? argv : argv.map((argument) => (dashed.test(argument) ? ` ${argument}` : argument))
}

const DASHED: { readonly [command: string]: RegExp } = {
  blame: /^-A\s/,
  diff: /^-\d/,
}
