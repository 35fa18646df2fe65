import {
  type Comparison,
  COMPARISONS,
  type Expression,
  hasFlags,
  type NatKind,
  type NftElement,
  rejection,
  type Statement,
} from './model.js'
import { constantOf, ExpressionReader, FAMILY_WORDS, VERDICTS, wordSet } from './read-expression.js'
import { END_OF_LINE, secondsOf, unquoted } from './tokens.js'

/** Reads statements from words, as nft lists them. */
export class RuleReader extends ExpressionReader {
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
    if (VERDICTS.has(word)) return { type: 'verdict', ...this.verdict() }
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
        const words = this.text(this.peek() === 'over' ? 3 : 2)
        while (this.takeIf('used')) this.text(2)
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
        this.text(2)
        return { type: 'xt', name: unquoted(this.next()) }
      case 'add':
      case 'update':
      case 'delete':
        if (this.peek(1).startsWith('@')) return this.#update(word)
        break
      case 'tproxy':
        return { type: 'other', text: this.text(FAMILY_WORDS.has(this.peek(1)) ? 4 : 3) }
      case 'ct':
        if (this.peek(1) === 'count') return { type: 'opaque', text: this.text(this.peek(2) === 'over' ? 4 : 3) }
        if (OBJECTS_OF_CT.has(this.peek(1)) && this.peek(2) === 'set') return { type: 'aside', text: this.text(4) }
        break
    }
    const start = this.at
    const left = this.keyIfKnown()
    if (left === undefined) {
      this.at = start
      return { type: 'other', text: this.#restOfRule() }
    }
    if (this.takeIf('vmap')) return { type: 'vmap', key: left, map: this.value() }
    if (this.takeIf('set')) return { type: 'assign', to: left, value: this.keyIfKnown() ?? this.value() }
    return this.#match(left)
  }

  #match(left: Expression): Statement {
    const word = this.peek()
    const isSaid = COMPARISONS.has(word)
    if (isSaid) this.next()
    const right = this.value()
    // `tcp flags syn / fin,syn`: of these, that one.
    if (this.takeIf('/')) {
      const mask = this.value()
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
    const isPackets = /^\d+\//.test(words.at(-1) ?? '')
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
    this.nest()
    let element: NftElement = { key: this.key() }
    const statements: Statement[] = []
    while (!this.takeIf('}')) {
      if (this.takeIf('timeout')) {
        const timeoutSeconds = secondsOf(this.next())
        if (timeoutSeconds !== undefined) element = { ...element, timeoutSeconds }
      } else if (this.takeIf(':')) element = { ...element, data: this.keyIfKnown() ?? this.value() }
      else statements.push(this.statement())
    }
    this.unnest()
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
    const address = this.keyIfKnown()
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

const NAT_KINDS = wordSet('dnat snat masquerade redirect')
const NAT_FLAGS = wordSet('random fully-random persistent')
/** `dnat ip addr . port to`, `dnat ip prefix to`. */
const NAT_FORMS = wordSet('addr . port prefix interval')
const QUEUE_FLAGS = wordSet('bypass fanout')
const LOG_OPTIONS = wordSet('prefix group snaplen queue-threshold level flags')
const OBJECTS_OF_CT = wordSet('helper timeout expectation')
