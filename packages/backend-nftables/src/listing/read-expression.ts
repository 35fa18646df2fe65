import { parseAddress } from '@pointsman/core'
import { type Expression, type NftElement, NftListingError, type VerdictName } from './model.js'
import { END_OF_LINE, isQuoted, secondsOf, type Token, unquoted } from './tokens.js'

/** Reads expressions from words, as nft lists them. */
export class ExpressionReader {
  readonly #tokens: readonly Token[]
  protected at = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get isAtEnd(): boolean {
    return this.at >= this.#tokens.length
  }

  /** Empty at the end. */
  peek(ahead = 0): Token {
    return this.#tokens[this.at + ahead] ?? ''
  }

  next(): Token {
    if (this.isAtEnd) throw new NftListingError('it ends in the middle: give the whole output')
    return this.#tokens[this.at++] ?? ''
  }

  takeIf(token: Token): boolean {
    if (this.peek() !== token) return false
    this.at += 1
    return true
  }

  expect(token: Token): void {
    const found = this.next()
    if (found !== token)
      throw new NftListingError(`${JSON.stringify(found)} stands where ${JSON.stringify(token)} should`)
  }

  skipLines(): void {
    while (this.takeIf(END_OF_LINE));
  }

  /** Before what a block holds: `{ # handle 4`. */
  skipHandle(): void {
    while (this.takeIf('#handle')) this.next()
    if (this.isAtEnd) throw new NftListingError('it ends in the middle: give the whole output')
  }

  skipBlock(): void {
    this.expect('{')
    for (let open = 1; open > 0;) {
      const token = this.next()
      if (token === '{') open += 1
      else if (token === '}') open -= 1
    }
  }

  /** The rest of the line, without commas. */
  wordsOfLine(): readonly string[] {
    const words: string[] = []
    for (
      let word = this.peek();
      !this.isAtEnd && word !== END_OF_LINE && word !== ';' && word !== '}';
      word = this.peek()
    ) {
      this.next()
      if (word !== ',') words.push(unquoted(word))
    }
    return words
  }

  /** An expression that is asked for. */
  key(): Expression {
    const found = this.keyIfKnown()
    if (found === undefined)
      throw new NftListingError(`${JSON.stringify(this.peek())} is no expression that is known here`)
    return found
  }

  elements(): readonly NftElement[] {
    this.expect('{')
    this.nest()
    const elements: NftElement[] = []
    for (this.skipLines(); !this.takeIf('}'); this.skipLines()) {
      if (this.takeIf(',')) continue
      elements.push(this.#element())
    }
    this.#depth -= 1
    return elements
  }

  protected nest(): void {
    this.#depth += 1
    if (this.#depth > MOST_NESTED) throw new NftListingError('an expression is nested too deep')
  }

  protected unnest(): void {
    this.#depth -= 1
  }

  #element(): NftElement {
    const key = this.value()
    const more: { timeoutSeconds?: number; expiresSeconds?: number; comment?: string; data?: Expression } = {}
    for (;;) {
      const word = this.peek()
      if (word === ',' || word === '}' || word === '') break
      this.next()
      if (word === 'timeout' || word === 'expires') {
        const seconds = secondsOf(this.next())
        if (seconds !== undefined) more[word === 'timeout' ? 'timeoutSeconds' : 'expiresSeconds'] = seconds
      } else if (word === 'comment') more.comment = unquoted(this.next())
      else if (word === ':') {
        this.skipLines()
        more.data = this.value()
      }
      // What counts or limits the element is left out.
    }
    return { key, ...more }
  }

  /** So many words. */
  text(count: number): string {
    const words: string[] = []
    for (let at = 0; at < count; at++) words.push(this.next())
    return words.join(' ')
  }

  verdict(): { readonly verdict: VerdictName; readonly chain?: string } {
    const verdict = this.next() as VerdictName
    return verdict === 'jump' || verdict === 'goto' ? { verdict, chain: unquoted(this.next()) } : { verdict }
  }

  /** What a packet is asked for. Undefined: it is not known here. */
  keyIfKnown(): Expression | undefined {
    const parts: Expression[] = []
    do {
      const part = this.#masked()
      if (part === undefined) return undefined
      parts.push(part)
    } while (this.takeIf('.'))
    const [only] = parts
    const key: Expression = parts.length === 1 && only !== undefined ? only : { type: 'concat', parts }
    return this.takeIf('map') ? { type: 'map', key, map: this.value() } : key
  }

  #masked(): Expression | undefined {
    let left = this.#primary()
    while (left !== undefined && OPERATORS.has(this.peek())) {
      const operator = OPERATOR_NAMES[this.peek()] ?? this.peek()
      this.next()
      const right: Expression = this.takeIf('(') ? this.#inBrackets() : (this.#primary() ?? this.#constant())
      left = { type: 'binary', operator, left, right }
    }
    return left
  }

  /** `(fin|syn|rst|ack)`, or an expression. */
  #inBrackets(): Expression {
    this.nest()
    const found = this.#masked() ?? this.#constant()
    this.expect(')')
    this.#depth -= 1
    if (found.type !== 'literal' || typeof found.value !== 'string' || !found.value.includes('|')) return found
    return { type: 'list', items: found.value.split('|').map(literalOf) }
  }

  #primary(): Expression | undefined {
    const word = this.peek()
    if (word === '(') {
      this.next()
      return this.#inBrackets()
    }
    if (isHeader(word, this.peek(1))) {
      this.next()
      return { type: 'field', header: word, name: this.next() }
    }
    if (META_KEYS.has(word)) return { type: 'meta', key: this.next() }
    switch (word) {
      case 'meta':
        this.next()
        return { type: 'meta', key: this.next() }
      case 'ct':
        return this.#ct()
      case 'fib': {
        this.next()
        const flags: string[] = []
        do flags.push(this.next())
        while (this.takeIf('.'))
        return { type: 'fib', flags, result: this.next() }
      }
      case 'numgen': {
        this.next()
        const mode = this.next()
        return { type: 'numgen', mode, ...this.#modulus() }
      }
      case 'symhash':
        this.next()
        return { type: 'hash', ...this.#modulus() }
      case 'jhash': {
        this.next()
        const of = this.keyIfKnown()
        return of && { type: 'hash', of, ...this.#modulus() }
      }
      case 'tcp':
        if (this.peek(1) === 'option') return { type: 'other', text: this.text(4) }
        return undefined
      case 'rt':
        return { type: 'other', text: this.text(FAMILY_WORDS.has(this.peek(1)) ? 3 : 2) }
      default:
        if (TWO_WORDS.has(word)) return { type: 'other', text: this.text(2) }
        if (!word.startsWith('@') || this.peek(1) !== ',') return undefined
        return { type: 'other', text: this.text(5).replaceAll(' ', '') }
    }
  }

  #ct(): Expression {
    this.next()
    const first = this.next()
    const isSided = first === 'original' || first === 'reply'
    if (!isSided) return { type: 'ct', key: first }
    const second = this.next()
    if (!FAMILY_WORDS.has(second)) return { type: 'ct', key: second, direction: first }
    return { type: 'ct', key: this.next(), direction: first, family: second }
  }

  #modulus(): { readonly mod: number; readonly offset: number; readonly seed?: number } {
    let [mod, offset] = [1, 0]
    let seed: number | undefined
    for (;;) {
      if (this.takeIf('mod')) mod = Number(this.next())
      else if (this.takeIf('offset')) offset = Number(this.next())
      else if (this.takeIf('seed')) seed = Number(this.next())
      else return { mod, offset, ...(seed !== undefined && { seed }) }
    }
  }

  /** What a packet is compared with, or what a map leads to. */
  value(): Expression {
    const word = this.peek()
    if (word === '{') return { type: 'set', elements: this.elements() }
    if (VERDICTS.has(word)) return { type: 'verdict', ...this.verdict() }
    const parts: Expression[] = []
    do parts.push(this.#constant())
    while (this.takeIf('.'))
    const [only] = parts
    if (parts.length !== 1 || only === undefined) return { type: 'concat', parts }
    // `established,related`; of elements, a comma parts them.
    if (this.#depth > 0 || this.peek() !== ',' || only.type !== 'literal') return only
    const items: Expression[] = [only]
    while (this.takeIf(',')) items.push(this.#constant())
    return { type: 'list', items }
  }

  #constant(): Expression {
    const word = this.next()
    if (word === END_OF_LINE || word === '' || PUNCTUATION.has(word))
      throw new NftListingError(`${JSON.stringify(word)} stands where a value should`)
    if (word === '*') return { type: 'any' }
    if (word.startsWith('@')) return { type: 'reference', name: word.slice(1) }
    if (!isQuoted(word)) return constantOf(word)
    const low: Expression = { type: 'literal', value: word.endsWith('*') ? `${unquoted(word)}*` : unquoted(word) }
    if (!this.takeIf('-')) return low
    return { type: 'range', low, high: { type: 'literal', value: unquoted(this.next()) } }
  }
}

const MOST_NESTED = 24

function literalOf(word: string): Expression {
  const value = /^(?:0x[\da-f]+|\d+)$/i.test(word) ? Number(word) : word
  return { type: 'literal', value }
}

/** `10.0.0.0/8`, `80-90`, `0x00004000`, `established`. */
export function constantOf(word: string): Expression {
  const slash = word.indexOf('/')
  if (slash > 0 && /^\d+$/.test(word.slice(slash + 1)) && parseAddress(word.slice(0, slash)) !== undefined)
    return { type: 'prefix', address: word.slice(0, slash), length: Number(word.slice(slash + 1)) }
  const dash = word.indexOf('-')
  const [low, high] = [word.slice(0, dash), word.slice(dash + 1)]
  if (dash > 0 && isEdge(low) && isEdge(high)) return { type: 'range', low: literalOf(low), high: literalOf(high) }
  const seconds = /^\d+[dhms]/.test(word) ? secondsOf(word) : undefined
  return seconds === undefined ? literalOf(word) : { type: 'literal', value: seconds }
}

const isEdge = (word: string): boolean => /^(?:0x[\da-f]+|\d+)$/i.test(word) || parseAddress(word) !== undefined

export const wordSet = (text: string): ReadonlySet<string> => new Set(text.split(' '))

export const VERDICTS = wordSet('accept drop continue return jump goto')
const OPERATORS = wordSet('& | ^ << >> and or xor lshift rshift')
const OPERATOR_NAMES: Readonly<Record<string, string>> = { and: '&', or: '|', xor: '^', lshift: '<<', rshift: '>>' }
export const FAMILY_WORDS = wordSet('ip ip6')
const META_KEYS = wordSet('iif oif iifname oifname iiftype oiftype iifgroup oifgroup ibrname obrname')
/** Expressions of two words that are kept as they stand. */
const TWO_WORDS = wordSet('socket osf exthdr frag hbh dst mh srh rt0 ipsec tunnel')
const PUNCTUATION = wordSet('{ } ( ) , ; = :')
const HEADERS = wordSet('ip ip6 tcp udp udplite sctp dccp th icmp icmpv6 igmp ether vlan arp ah esp comp')
const FIELDS = wordSet(
  'saddr daddr sport dport protocol nexthdr length id frag-off ttl tos dscp ecn version hdrlength checksum hoplimit flowlabel ' +
    'sequence ackseq doff reserved flags window urgptr type code gateway mtu parameter-problem packet-too-big max-delay ' +
    'vtag pcp dei cfi htype ptype hlen plen operation spi cpi csumcov group mrt cookie service addr ether',
)

const isHeader = (word: string, field: string): boolean => HEADERS.has(word) && FIELDS.has(field)
