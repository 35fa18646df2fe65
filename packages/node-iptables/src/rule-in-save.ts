import { splitWords } from './rules/values.js'

/**
 * Whether a save's text has the rule in that chain: the check for versions without `-C`. Spelling does not count where
 * save's is known to differ: order of options, quotes, `/32`, `/128`, zeros in hexadecimal numbers, `-m PROTOCOL` after
 * `-p PROTOCOL`, long names of the options that have short ones.
 */
export function isRuleInSave(
  save: string,
  { chain, rule }: { readonly chain: string; readonly rule: readonly string[] },
): boolean {
  const prefix = `-A ${chain} `
  const wanted = meaningOf(rule)
  return save
    .split('\n')
    .some((line) => line.startsWith(prefix) && meaningOf(wordsOf(line.slice(prefix.length))) === wanted)
}

/** No line that iptables printed has a quotation without an end. */
function wordsOf(text: string): readonly string[] {
  const split = splitWords(text)
  return split.type === 'words' ? split.words.map((word) => word.text) : []
}

function meaningOf(words: readonly string[]): string {
  const spelled = words.map((word) => canonicalWord(word))
  const protocol = spelled[spelled.indexOf('-p') + 1]
  const counted = spelled.filter(
    (word, at) => !isImplied({ word, next: spelled[at + 1], before: spelled[at - 1], protocol }),
  )
  return JSON.stringify(counted.toSorted())
}

function isImplied({ word, next, before, protocol }: WordPlace): boolean {
  return protocol !== undefined && ((word === '-m' && next === protocol) || (before === '-m' && word === protocol))
}

interface WordPlace {
  readonly word: string
  readonly next: string | undefined
  readonly before: string | undefined
  readonly protocol: string | undefined
}

function canonicalWord(word: string): string {
  const short = SHORT_NAMES.get(word)
  if (short !== undefined) return short
  return word
    .replace(/^([\d.]+)\/32$/, '$1')
    .replace(/^([\da-f:]+)\/128$/i, '$1')
    .replaceAll(/\b0x0*([\da-f])/gi, '0x$1')
}

const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ['--protocol', '-p'],
  ['--source', '-s'],
  ['--src', '-s'],
  ['--destination', '-d'],
  ['--dst', '-d'],
  ['--in-interface', '-i'],
  ['--out-interface', '-o'],
  ['--jump', '-j'],
  ['--goto', '-g'],
  ['--match', '-m'],
  ['--destination-port', '--dport'],
  ['--source-port', '--sport'],
])
