import type { ExtensionReader, GivenOption } from './extensions/extension.js'
import { addrtype, comment, conntrack, nfacct, physdev, recent, statistic } from './extensions/matches.js'
import { sctp, tcp, udp } from './extensions/ports.js'
import { dnat, mark, markTarget, masquerade, reject, snat } from './extensions/targets.js'
import { networkOf } from './networks.js'
import type { Match, Rule, Target } from './rule.js'
import { isBareName, isInterfaceName, protocolOf, type Word } from './values.js'

/**
 * Reads the words of a rule after `-A CHAIN`, in the order that iptables takes them: an option belongs to the newest match
 * or target that has it. What is not known stays with the match or target that it follows, word by word. Fails with an
 * IptablesParseError.
 */
export function parseRule(words: readonly Word[], place: Omit<ParseErrorPlace, 'found'>): Rule {
  const reader = new RuleReader(words, place)
  return reader.read()
}

/** A match or target while its options are being read. */
interface Loaded {
  readonly kind: 'match' | 'target'
  readonly name: string
  readonly extension: ExtensionReader<unknown> | undefined
  readonly given: Map<string, GivenOption>
  readonly spellings: string[]
  /** It has an option that its extension does not know, so that it is kept word by word. */
  isOpaque: boolean
}

interface General {
  source?: Rule['source']
  destination?: Rule['destination']
  inInterface?: Rule['inInterface']
  outInterface?: Rule['outInterface']
  protocol?: Rule['protocol']
  fragment?: Rule['fragment']
}

class RuleReader {
  readonly #words: readonly Word[]
  readonly #place: Omit<ParseErrorPlace, 'found'>
  readonly #general: General = {}
  readonly #matches: Loaded[] = []
  #target: Loaded | { readonly kind: 'goto'; readonly name: string } | undefined
  #last: Loaded | undefined
  /** Who takes words that are no options: the extension whose last option is not known. */
  #open: Loaded | undefined
  /** The word before was an option that is not known: the next may be its value. */
  #isAfterUnknown = false
  #at = 0

  constructor(words: readonly Word[], place: Omit<ParseErrorPlace, 'found'>) {
    this.#words = words
    this.#place = place
  }

  read(): Rule {
    while (this.#at < this.#words.length) this.#readOne()
    const target = this.#target
    return {
      ...this.#general,
      matches: this.#matches.map((loaded) => matchOf(loaded)),
      ...(target === undefined
        ? {}
        : { target: target.kind === 'goto' ? { type: 'goto', chain: target.name } : targetOf(target) }),
    }
  }

  #readOne(): void {
    const first = this.#take()
    // In quotes, it is the value of the option before it.
    if (first.text === '!' && !(this.#isAfterUnknown && first.spelling !== '!')) {
      const next = this.#take()
      if (!next.text.startsWith('-')) this.#fail('UNKNOWN_OPTION', `${first.text} ${next.text}`)
      this.#readOption(next, { negated: true })
    } else if (first.text.startsWith('-') && first.text !== '-') this.#readOption(first, { negated: false })
    else this.#readPlain(first)
  }

  #readOption(word: Word, { negated }: { readonly negated: boolean }): void {
    const general = GENERAL.get(word.text)
    if (general === undefined) this.#readExtensionOption(word, { negated })
    else this.#readGeneral(general, { word, negated })
  }

  #readGeneral(general: GeneralOption, { word, negated }: { readonly word: Word; readonly negated: boolean }): void {
    const loads = general === 'match' || general === 'jump' || general === 'goto'
    if (this.#isAfterUnknown && !loads) this.#fail('AMBIGUOUS', word.text)
    if (loads && negated) this.#fail('UNKNOWN_OPTION', `! ${word.text}`)
    this.#isAfterUnknown = false
    this.#open = undefined
    if (loads) this.#load(general, this.#value(word))
    else if (this.#general[general] !== undefined) this.#fail('REPEATED_OPTION', word.text)
    else if (general === 'fragment') this.#general.fragment = { negated }
    else this.#setGeneral(general, { text: this.#value(word), negated })
  }

  #setGeneral(
    general: Exclude<GeneralOption, 'match' | 'jump' | 'goto' | 'fragment'>,
    { text, negated }: { readonly text: string; readonly negated: boolean },
  ): void {
    const bad = (): never => this.#fail('BAD_VALUE', text)
    if (general === 'protocol') {
      const name = protocolOf(text) ?? bad()
      if (name !== 'all' || negated) this.#general.protocol = name === 'all' ? bad() : { name, negated }
    } else if (general === 'inInterface' || general === 'outInterface') {
      if (!isInterfaceName(text)) bad()
      if (text !== '+' || negated) this.#general[general] = { name: text, negated }
    } else {
      const { network, any } = networkOf(text) ?? bad()
      if (!any || negated) this.#general[general] = { network, negated }
    }
  }

  #load(kind: 'match' | 'jump' | 'goto', name: string): void {
    if (!isBareName(name)) this.#fail('BAD_NAME', name)
    if (kind === 'match') {
      this.#matches.push(this.#loaded('match', name, MATCHES.get(name)))
      return
    }
    if (this.#target !== undefined) this.#fail('REPEATED_OPTION', kind === 'jump' ? '-j' : '-g')
    this.#target = kind === 'goto' ? { kind, name } : this.#loaded('target', name, TARGETS.get(name))
  }

  #loaded(kind: Loaded['kind'], name: string, extension: ExtensionReader<unknown> | undefined): Loaded {
    this.#last = { kind, name, extension, given: new Map(), spellings: [], isOpaque: extension === undefined }
    return this.#last
  }

  #readExtensionOption(word: Word, { negated }: { readonly negated: boolean }): void {
    const [text, joined] = splitJoined(word.text)
    const owner = this.#ownerOf(text)
    if (owner === undefined) return this.#readUnknown(word, { negated })
    const name = owner.extension?.aliases?.[text] ?? text
    const form = owner.extension?.options[name]
    if (form === undefined) return this.#readUnknown(word, { negated })
    this.#isAfterUnknown = false
    this.#open = undefined
    const values = Array.from({ length: form.values - (joined === undefined ? 0 : 1) }, () => {
      if (this.#at >= this.#words.length) this.#fail('MISSING_VALUE', word.text)
      return this.#take()
    })
    if (owner.given.has(name) || (negated && form.negatable !== true)) owner.isOpaque = true
    owner.given.set(name, {
      negated,
      values: [...(joined === undefined ? [] : [joined]), ...values.map((value) => value.text)],
    })
    owner.spellings.push(...(negated ? ['!'] : []), word.spelling, ...values.map((value) => value.spelling))
  }

  /** Undefined: nobody here knows the option. */
  #ownerOf(option: string): Loaded | undefined {
    const last = this.#last
    if (last !== undefined && last.extension === undefined) return undefined
    const target = this.#target !== undefined && this.#target.kind !== 'goto' ? [this.#target] : []
    const newestFirst = [...(last === undefined ? [] : [last]), ...target, ...this.#matches.toReversed()]
    return newestFirst.find(({ extension }) => knows(extension, option)) ?? this.#implied(option)
  }

  /** A match of the protocol's name comes by itself when its options are used. */
  #implied(option: string): Loaded | undefined {
    const { protocol } = this.#general
    if (protocol === undefined || protocol.negated) return undefined
    const name = protocol.name === 'ipv6-icmp' ? 'icmp6' : protocol.name
    const extension = MATCHES.get(name)
    if (!knows(extension, option) && (extension !== undefined || this.#last !== undefined)) return undefined
    const loaded = this.#loaded('match', name, extension)
    this.#matches.push(loaded)
    return loaded
  }

  #readUnknown(word: Word, { negated }: { readonly negated: boolean }): void {
    const owner = this.#last
    // An option of a match or target that is not there, or comes later, is nobody's: iptables refuses it too.
    const isMisplaced = owner?.extension !== undefined && isKnownOption(splitJoined(word.text)[0])
    if (owner === undefined || isMisplaced) return this.#fail('UNKNOWN_OPTION', word.text)
    owner.isOpaque = true
    owner.spellings.push(...(negated ? ['!'] : []), word.spelling)
    this.#open = owner
    this.#isAfterUnknown = true
  }

  #readPlain(word: Word): void {
    if (this.#open === undefined) return this.#fail('UNKNOWN_OPTION', word.text)
    this.#open.spellings.push(word.spelling)
    this.#isAfterUnknown = false
  }

  #value(option: Word): string {
    const text = this.#words[this.#at]?.text
    if (text === undefined) return this.#fail('MISSING_VALUE', option.text)
    if (text === '' || text.startsWith('-') || text === '!') return this.#fail('BAD_VALUE', text)
    this.#at += 1
    return text
  }

  #take(): Word {
    const word = this.#words[this.#at]
    if (word === undefined) return this.#fail('MISSING_VALUE', this.#words.at(-1)?.text ?? '')
    this.#at += 1
    return word
  }

  #fail(code: IptablesParseErrorCode, found: string): never {
    throw new IptablesParseError(code, { ...this.#place, found })
  }
}

type GeneralOption = keyof General | 'match' | 'jump' | 'goto'

const GENERAL: ReadonlyMap<string, GeneralOption> = new Map<string, GeneralOption>([
  ['-s', 'source'],
  ['--source', 'source'],
  ['--src', 'source'],
  ['-d', 'destination'],
  ['--destination', 'destination'],
  ['--dst', 'destination'],
  ['-i', 'inInterface'],
  ['--in-interface', 'inInterface'],
  ['-o', 'outInterface'],
  ['--out-interface', 'outInterface'],
  ['-p', 'protocol'],
  ['--protocol', 'protocol'],
  ['--proto', 'protocol'],
  ['-f', 'fragment'],
  ['--fragment', 'fragment'],
  ['--fragments', 'fragment'],
  ['-m', 'match'],
  ['--match', 'match'],
  ['-j', 'jump'],
  ['--jump', 'jump'],
  ['-g', 'goto'],
  ['--goto', 'goto'],
])

/** `--name=value` is one word for both. */
function splitJoined(text: string): readonly [string, string | undefined] {
  const at = text.indexOf('=')
  return text.startsWith('--') && at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [text, undefined]
}

const otherOf = ({ name, spellings }: Loaded): { type: 'other'; name: string; words: readonly string[] } => ({
  type: 'other',
  name,
  words: spellings,
})

function matchOf(loaded: Loaded): Match {
  const known = loaded.isOpaque ? undefined : MATCHES.get(loaded.name)?.read(loaded.given)
  return known ?? otherOf(loaded)
}

function targetOf(loaded: Loaded): Target {
  if (loaded.spellings.length === 0 && !TARGETS.has(loaded.name)) return { type: 'jump', chain: loaded.name }
  const known = loaded.isOpaque ? undefined : TARGETS.get(loaded.name)?.read(loaded.given)
  return known ?? otherOf(loaded)
}

/** Why a text is not what iptables-save prints or iptables-restore reads. A code is a contract: added, not renamed. */
export const IPTABLES_PARSE_ERRORS = {
  UNKNOWN_LINE: 'not a line of a restore: a table, a chain, a rule, COMMIT or a comment is expected',
  LINE_TOO_LONG: 'the line has more than 10240 characters or 255 words, which no iptables-restore takes',
  OUTSIDE_TABLE: 'chains and rules stand between a table line (`*nat`) and its COMMIT',
  UNFINISHED_TABLE: 'the table has no COMMIT: the text was cut off',
  UNCLOSED_QUOTE: 'a quotation begins and does not end in this line',
  BAD_NAME: 'no name that a table, chain, match or target can have',
  BAD_COUNTERS: 'counters are two whole numbers: [PACKETS:BYTES]',
  BAD_VALUE: 'the option does not take this value',
  MISSING_VALUE: 'the option needs a value',
  REPEATED_OPTION: 'the option may stand once in a rule',
  UNKNOWN_OPTION: 'neither a general option nor one of the matches and the target of this rule',
  AMBIGUOUS: 'it is not clear whether this is an option or the value of the unknown option before it',
  UNDECLARED_CHAIN: 'the table has no line for this chain (`:NAME - [0:0]`) before its rules',
  REPEATED_CHAIN: 'the table has two lines for this chain',
  NOT_A_SAVE: 'a save has tables, chains, rules that are appended and COMMIT alone',
} as const

export type IptablesParseErrorCode = keyof typeof IPTABLES_PARSE_ERRORS

/** Where in the text, and what there is. */
export interface ParseErrorPlace {
  /** From 1. */
  readonly line: number
  /** The whole line. */
  readonly text: string
  /** The words that are wrong. */
  readonly found?: string | undefined
}

/** The only error of the parser. Match on `code`. */
export class IptablesParseError extends Error {
  override readonly name = 'IptablesParseError'
  readonly code: IptablesParseErrorCode
  readonly line: number
  readonly text: string
  readonly found: string | undefined

  constructor(code: IptablesParseErrorCode, { line, text, found }: ParseErrorPlace) {
    super(
      `line ${line}: ${found === undefined ? '' : `${JSON.stringify(shortened(found))}: `}${IPTABLES_PARSE_ERRORS[code]}; in ${JSON.stringify(shortened(text))}`,
    )
    this.code = code
    this.line = line
    this.text = text
    this.found = found
  }
}

const SHOWN_LENGTH = 200

const shortened = (text: string): string => (text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}…`)

/** The matches that are understood here, by the names that `-m` takes. */
export const MATCHES: ReadonlyMap<string, ExtensionReader<Match>> = new Map(
  Object.entries<ExtensionReader<Match>>({
    addrtype,
    comment,
    conntrack,
    mark,
    nfacct,
    physdev,
    recent,
    sctp,
    statistic,
    tcp,
    udp,
  }),
)

/** The targets that are understood here, by the names that `-j` takes. */
export const TARGETS: ReadonlyMap<string, ExtensionReader<Target>> = new Map(
  Object.entries<ExtensionReader<Target>>({
    MARK: markTarget,
    DNAT: dnat,
    SNAT: snat,
    MASQUERADE: masquerade,
    REJECT: reject,
  }),
)

/** Whether the match or target has the option, under any of its names. */
export const knows = (extension: ExtensionReader<unknown> | undefined, option: string): boolean =>
  extension !== undefined &&
  (Object.hasOwn(extension.options, option) || Object.hasOwn(extension.aliases ?? {}, option))

/** Whether any of them has it. */
const isKnownOption = (option: string): boolean =>
  [...MATCHES.values(), ...TARGETS.values()].some((extension) => knows(extension, option))
