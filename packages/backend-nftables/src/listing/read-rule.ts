import { parseAddress } from '@pointsman/core'
import {
  type Comparison,
  type Expression,
  hasFlags,
  type NatKind,
  type NftElement,
  NftListingError,
  rejection,
  type Statement,
  type VerdictName,
} from './model.js'
import { END_OF_LINE, isQuoted, secondsOf, type Token, unquoted } from './tokens.js'

/** Reads statements and expressions from words, as nft lists them. */
export class RuleReader {
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#tokens.length
  }

  /** Empty at the end. */
  peek(ahead = 0): Token {
    return this.#tokens[this.#at + ahead] ?? ''
  }

  next(): Token {
    if (this.isAtEnd) throw new NftListingError('it ends in the middle: give the whole output')
    return this.#tokens[this.#at++] ?? ''
  }

  takeIf(token: Token): boolean {
    if (this.peek() !== token) return false
    this.#at += 1
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

  /** Of a rule that is not known from here on. */
  #restOfRule(): string {
    const words: string[] = []
    let open = 0
    for (let word = this.peek(); !this.isAtEnd; word = this.peek()) {
      if (
        open === 0 &&
        (word === END_OF_LINE || word === ';' || word === '}' || word === '#handle' || word === 'comment')
      )
        break
      this.next()
      if (word === '{') open += 1
      if (word === '}') open -= 1
      if (word !== END_OF_LINE) words.push(word)
    }
    return words.join(' ')
  }

  statement(): Statement {
    const word = this.peek()
    if (VERDICTS.has(word)) return { type: 'verdict', ...this.#verdict() }
    if (NAT_KINDS.has(word)) return this.#nat()
    switch (word) {
      case 'counter':
        return this.#counter()
      case 'log':
        return this.#log()
      case 'limit':
        return this.#limit()
      case 'quota': {
        this.next()
        const words = this.#words(this.peek() === 'over' ? 3 : 2)
        while (this.takeIf('used')) this.#words(2)
        return { type: 'opaque', text: `quota ${words}` }
      }
      case 'reject':
        return this.#reject()
      case 'queue':
        return this.#queue()
      case 'notrack':
        this.next()
        return { type: 'notrack' }
      case '#xt':
        this.next()
        return { type: 'xt', name: this.next() }
      case 'xt':
        // `xt match "comment"`
        this.#words(2)
        return { type: 'xt', name: unquoted(this.next()) }
      case 'add':
      case 'update':
      case 'delete':
        if (this.peek(1).startsWith('@')) return this.#update(word)
        break
      case 'tproxy':
        return { type: 'other', text: this.#words(FAMILY_WORDS.has(this.peek(1)) ? 4 : 3) }
      case 'ct':
        if (this.peek(1) === 'count') return { type: 'opaque', text: this.#words(this.peek(2) === 'over' ? 4 : 3) }
        if (OBJECTS_OF_CT.has(this.peek(1)) && this.peek(2) === 'set') return { type: 'aside', text: this.#words(4) }
        break
    }
    const start = this.#at
    const left = this.#key()
    if (left === undefined) {
      this.#at = start
      return { type: 'other', text: this.#restOfRule() }
    }
    if (this.takeIf('vmap')) return { type: 'vmap', key: left, map: this.#value() }
    if (this.takeIf('set')) return { type: 'assign', to: left, value: this.#key() ?? this.#value() }
    return this.#match(left)
  }

  /** An expression that is asked for. */
  key(): Expression {
    const found = this.#key()
    if (found === undefined)
      throw new NftListingError(`${JSON.stringify(this.peek())} is no expression that is known here`)
    return found
  }

  elements(): readonly NftElement[] {
    this.expect('{')
    this.#nest()
    const elements: NftElement[] = []
    for (this.skipLines(); !this.takeIf('}'); this.skipLines()) {
      if (this.takeIf(',')) continue
      elements.push(this.#element())
    }
    this.#depth -= 1
    return elements
  }

  #nest(): void {
    this.#depth += 1
    if (this.#depth > MOST_NESTED) throw new NftListingError('an expression is nested too deep')
  }

  #element(): NftElement {
    const key = this.#value()
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
        more.data = this.#value()
      }
      // What counts or limits the element is left out.
    }
    return { key, ...more }
  }

  #words(count: number): string {
    const words: string[] = []
    for (let at = 0; at < count; at++) words.push(this.next())
    return words.join(' ')
  }

  #verdict(): { readonly verdict: VerdictName; readonly chain?: string } {
    const verdict = this.next() as VerdictName
    return verdict === 'jump' || verdict === 'goto' ? { verdict, chain: unquoted(this.next()) } : { verdict }
  }

  #match(left: Expression): Statement {
    const word = this.peek()
    const isSaid = COMPARISONS.has(word)
    if (isSaid) this.next()
    const right = this.#value()
    // `tcp flags syn / fin,syn`: of these, that one.
    if (this.takeIf('/')) {
      const mask = this.#value()
      return {
        type: 'match',
        left: { type: 'binary', operator: '&', left, right: mask },
        operator: isSaid ? (word as Comparison) : '==',
        right,
      }
    }
    const isFlag = hasFlags(left) && (right.type === 'literal' || right.type === 'list')
    const operator = isSaid ? (word as Comparison) : isFlag ? 'in' : '=='
    return { type: 'match', left, operator, right }
  }

  /** What a packet is asked for. Undefined: it is not known here. */
  #key(): Expression | undefined {
    const parts: Expression[] = []
    do {
      const part = this.#masked()
      if (part === undefined) return undefined
      parts.push(part)
    } while (this.takeIf('.'))
    const [only] = parts
    const key: Expression = parts.length === 1 && only !== undefined ? only : { type: 'concat', parts }
    return this.takeIf('map') ? { type: 'map', key, map: this.#value() } : key
  }

  #masked(): Expression | undefined {
    let left = this.#primary()
    while (left !== undefined && OPERATORS.has(this.peek())) {
      const operator = OPERATOR_NAMES[this.peek()] ?? this.peek()
      this.next()
      const right: Expression | undefined = this.takeIf('(')
        ? this.#inBrackets()
        : (this.#primary() ?? this.#constant())
      if (right === undefined) return undefined
      left = { type: 'binary', operator, left, right }
    }
    return left
  }

  /** `(fin|syn|rst|ack)`, or an expression. */
  #inBrackets(): Expression | undefined {
    this.#nest()
    const found = this.#masked() ?? this.#constant()
    this.expect(')')
    this.#depth -= 1
    if (found?.type !== 'literal' || typeof found.value !== 'string' || !found.value.includes('|')) return found
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
        const of = this.#key()
        return of && { type: 'hash', of, ...this.#modulus() }
      }
      case 'tcp':
        if (this.peek(1) === 'option') return { type: 'other', text: this.#words(4) }
        return undefined
      case 'rt':
        return { type: 'other', text: this.#words(FAMILY_WORDS.has(this.peek(1)) ? 3 : 2) }
      default:
        if (TWO_WORDS.has(word)) return { type: 'other', text: this.#words(2) }
        if (!word.startsWith('@') || this.peek(1) !== ',') return undefined
        return { type: 'other', text: this.#words(5).replaceAll(' ', '') }
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
  #value(): Expression {
    const word = this.peek()
    if (word === '{') return { type: 'set', elements: this.elements() }
    if (VERDICTS.has(word)) return { type: 'verdict', ...this.#verdict() }
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

  #counter(): Statement {
    this.next()
    if (this.takeIf('name')) return { type: 'counter', name: unquoted(this.next()) }
    if (!this.takeIf('packets')) return { type: 'counter' }
    const packets = Number(this.next())
    this.expect('bytes')
    return { type: 'counter', packets, bytes: Number(this.next()) }
  }

  #log(): Statement {
    this.next()
    const words = ['log']
    while (LOG_OPTIONS.has(this.peek())) {
      const option = this.next()
      if (option !== 'flags') words.push(option, this.next())
      else {
        const flags: string[] = []
        do {
          const first = this.next()
          flags.push(first === 'tcp' || first === 'ip' ? `${first} ${this.next()}` : first)
        } while (this.takeIf(','))
        words.push('flags', flags.join(','))
      }
    }
    return { type: 'aside', text: words.join(' ') }
  }

  #limit(): Statement {
    this.next()
    if (this.takeIf('name')) return { type: 'limit', text: `name ${this.next()}` }
    this.expect('rate')
    const words = ['rate']
    if (this.takeIf('over')) words.push('over')
    words.push(this.next())
    if (/^\d+$/.test(words.at(-1) ?? '')) words.push(this.next())
    const isPackets = words.at(-1)?.startsWith('k') === false && /^\d+\//.test(words.at(-1) ?? '')
    if (this.takeIf('burst')) {
      const burst = [this.next(), this.next()]
      if (!isPackets || burst[0] !== '5') words.push('burst', ...burst)
    }
    return { type: 'limit', text: words.join(' ') }
  }

  #reject(): Statement {
    this.next()
    if (!this.takeIf('with')) return { type: 'reject' }
    const protocol = this.next()
    this.takeIf('type')
    return rejection(`${protocol} ${this.next()}`)
  }

  /** `queue flags bypass to 1-3`, `queue num 1-3 bypass`. */
  #queue(): Statement {
    this.next()
    const flags: string[] = []
    const readFlags = (): void => {
      do flags.push(this.next())
      while (this.takeIf(','))
    }
    if (this.takeIf('flags')) readFlags()
    const queue = this.takeIf('to') || this.takeIf('num') ? this.next() : '0'
    if (QUEUE_FLAGS.has(this.peek())) readFlags()
    return { type: 'queue', queue, flags }
  }

  #update(operation: 'add' | 'update' | 'delete'): Statement {
    this.next()
    const set = this.next().slice(1)
    this.expect('{')
    this.#nest()
    let element: NftElement = { key: this.key() }
    const statements: Statement[] = []
    while (!this.takeIf('}')) {
      if (this.takeIf('timeout')) {
        const timeoutSeconds = secondsOf(this.next())
        if (timeoutSeconds !== undefined) element = { ...element, timeoutSeconds }
      } else if (this.takeIf(':')) element = { ...element, data: this.#key() ?? this.#value() }
      else statements.push(this.statement())
    }
    this.#depth -= 1
    return { type: 'update', operation, set, element, statements }
  }

  #nat(): Statement {
    const kind = this.next() as NatKind
    const family = FAMILY_WORDS.has(this.peek()) ? { family: this.next() } : {}
    while (NAT_FORMS.has(this.peek())) this.next()
    let target: { readonly address?: Expression; readonly port?: Expression } = {}
    if (this.takeIf('to')) target = this.#natTarget()
    const flags: string[] = []
    while (NAT_FLAGS.has(this.peek())) {
      flags.push(this.next())
      this.takeIf(',')
    }
    return { type: 'nat', kind, ...family, ...target, flags }
  }

  #natTarget(): { readonly address?: Expression; readonly port?: Expression } {
    const address = this.#key()
    if (address !== undefined) {
      const [, port] = /^:(\d+(?:-\d+)?)$/.exec(this.peek()) ?? []
      if (port === undefined) return { address }
      this.next()
      return { address, port: constantOf(port) }
    }
    const word = this.next()
    const [, first, last, bare, port] =
      /^(?:\[([^\]]+)\](?:-\[([^\]]+)\])?|([^:]*|[^[]*:[^[]*:[^[]*?))(?::(\d+(?:-\d+)?))?$/.exec(word) ?? []
    const addresses = first === undefined ? (bare ?? word) : last === undefined ? first : `${first}-${last}`
    return {
      ...(addresses !== '' && { address: constantOf(addresses) }),
      ...(port !== undefined && { port: constantOf(port) }),
    }
  }
}

const MOST_NESTED = 24

function literalOf(word: string): Expression {
  const value = /^(?:0x[\da-f]+|\d+)$/i.test(word) ? Number(word) : word
  return { type: 'literal', value }
}

/** `10.0.0.0/8`, `80-90`, `0x00004000`, `established`. */
function constantOf(word: string): Expression {
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

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))

const VERDICTS = words('accept drop continue return jump goto')
const NAT_KINDS = words('dnat snat masquerade redirect')
const NAT_FLAGS = words('random fully-random persistent')
/** `dnat ip addr . port to`, `dnat ip prefix to`. */
const NAT_FORMS = words('addr . port prefix interval')
const QUEUE_FLAGS = words('bypass fanout')
const LOG_OPTIONS = words('prefix group snaplen queue-threshold level flags')
const COMPARISONS = words('== != < > <= >=')
const OPERATORS = words('& | ^ << >> and or xor lshift rshift')
const OPERATOR_NAMES: Readonly<Record<string, string>> = { and: '&', or: '|', xor: '^', lshift: '<<', rshift: '>>' }
const FAMILY_WORDS = words('ip ip6')
const OBJECTS_OF_CT = words('helper timeout expectation')
const META_KEYS = words('iif oif iifname oifname iiftype oiftype iifgroup oifgroup ibrname obrname')
/** Expressions of two words that are kept as they stand. */
const TWO_WORDS = words('socket osf exthdr frag hbh dst mh srh rt0 ipsec tunnel')
const PUNCTUATION = words('{ } ( ) , ; = :')
const HEADERS = words('ip ip6 tcp udp udplite sctp dccp th icmp icmpv6 igmp ether vlan arp ah esp comp')
const FIELDS = words(
  'saddr daddr sport dport protocol nexthdr length id frag-off ttl tos dscp ecn version hdrlength checksum hoplimit flowlabel ' +
    'sequence ackseq doff reserved flags window urgptr type code gateway mtu parameter-problem packet-too-big max-delay ' +
    'vtag pcp dei cfi htype ptype hlen plen operation spi cpi csumcov group mrt cookie service addr ether',
)

const isHeader = (word: string, field: string): boolean => HEADERS.has(word) && FIELDS.has(field)
