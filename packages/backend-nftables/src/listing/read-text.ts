import { RulesetBuilder } from './ruleset-builder.js'
import {
  BRIDGE_PRIORITIES,
  dataTypeOf,
  type NftElement,
  type NftFamily,
  type NftHook,
  NftListingError,
  type NftRule,
  type NftRuleset,
  PRIORITIES,
  type Statement,
} from './model.js'
import { RuleReader } from './read-rule.js'
import { END_OF_LINE, isQuoted, secondsOf, tokensOf, unquoted } from './tokens.js'

/**
 * Reads what `nft list ruleset` or `nft list table` printed, with or without `-a` and `-s`, several of them in a row too. Throws an
 * NftListingError for what is none; a statement that is not known here is kept as it stands.
 */
export function readTextListing(text: string): NftRuleset {
  const reader = new RuleReader(tokensOf(text))
  const builder = new RulesetBuilder()
  for (reader.skipLines(); !reader.isAtEnd; reader.skipLines()) {
    reader.expect('table')
    const family = reader.next()
    if (!FAMILIES.has(family)) throw new NftListingError(`${JSON.stringify(family)} is no family of tables`)
    readTable(reader, builder, { family: family as NftFamily, name: unquoted(reader.next()) })
  }
  return builder.ruleset()
}

/** One rule as it is listed, or pasted. */
export function readTextRule(text: string): NftRule {
  const reader = new RuleReader(tokensOf(text))
  return readRule(reader)
}

const FAMILIES: ReadonlySet<string> = new Set(['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev'])

interface TableName {
  readonly family: NftFamily
  readonly name: string
}

function readTable(reader: RuleReader, builder: RulesetBuilder, table: TableName): void {
  let flags: readonly string[] = []
  let comment: string | undefined
  reader.expect('{')
  for (reader.skipHandle(); !reader.takeIf('}'); reader.skipHandle()) {
    const word = reader.next()
    switch (word) {
      case END_OF_LINE:
      case ';':
        break
      case 'flags':
        flags = reader.wordsOfLine()
        break
      case 'comment':
        comment = unquoted(reader.next())
        break
      case 'chain':
        readChain(reader, builder, table)
        break
      case 'set':
      case 'map':
        readSet(reader, builder, { table, kind: word })
        break
      case 'meter':
      case 'counter':
      case 'quota':
      case 'limit':
      case 'secmark':
      case 'synproxy':
      case 'flowtable':
        builder.object(table, { type: word, name: unquoted(reader.next()) })
        reader.skipBlock()
        break
      case 'ct': {
        const type = `ct ${reader.next()}`
        builder.object(table, { type, name: unquoted(reader.next()) })
        reader.skipBlock()
        break
      }
      default:
        throw new NftListingError(`a table holds no ${JSON.stringify(word)}`)
    }
  }
  builder.table({ ...table, flags, ...(comment !== undefined && { comment }) })
}

function readChain(reader: RuleReader, builder: RulesetBuilder, table: TableName): void {
  const name = unquoted(reader.next())
  builder.chain(table, { name })
  reader.expect('{')
  for (reader.skipHandle(); !reader.takeIf('}'); reader.skipHandle()) {
    if (reader.takeIf(END_OF_LINE) || reader.takeIf(';')) continue
    if (reader.peek() === 'type' && HOOK_TYPES.has(reader.peek(1)))
      builder.chain(table, { name, base: readHook(reader, table) })
    else if (reader.peek() === 'comment' && isQuoted(reader.peek(1))) {
      reader.next()
      builder.chain(table, { name, comment: unquoted(reader.next()) })
    } else if (reader.peek() === 'policy') {
      reader.next()
      reader.next()
    } else builder.rule(table, name, readRule(reader))
  }
}

const HOOK_TYPES: ReadonlySet<string> = new Set(['filter', 'nat', 'route'])

/** `type filter hook prerouting priority dstnat - 10; policy accept;` */
function readHook(reader: RuleReader, { family }: TableName): NftHook {
  reader.expect('type')
  const type = reader.next() as NftHook['type']
  reader.expect('hook')
  const hook = reader.next()
  let priority = 0
  let policy: NftHook['policy'] = 'accept'
  while (!reader.isAtEnd && reader.peek() !== END_OF_LINE && reader.peek() !== '}') {
    const word = reader.next()
    if (word === 'priority') priority = readPriority(reader, family)
    else if (word === 'policy') policy = reader.next() === 'drop' ? 'drop' : 'accept'
  }
  return { type, hook, priority, policy }
}

function readPriority(reader: RuleReader, family: NftFamily): number {
  const word = reader.next()
  const named = (family === 'bridge' ? BRIDGE_PRIORITIES : PRIORITIES)[word]
  const start = named ?? Number(word)
  if (!Number.isInteger(start)) throw new NftListingError(`${JSON.stringify(word)} is no priority`)
  const sign = reader.peek()
  if (sign !== '+' && sign !== '-') return start
  reader.next()
  return start + (sign === '+' ? 1 : -1) * Number(reader.next())
}

function readRule(reader: RuleReader): NftRule {
  const statements: Statement[] = []
  let comment: string | undefined
  let handle: number | undefined
  while (!reader.isAtEnd && reader.peek() !== END_OF_LINE && reader.peek() !== ';' && reader.peek() !== '}') {
    if (reader.takeIf('#handle')) handle = Number(reader.next())
    else if (reader.peek() === 'comment' && isQuoted(reader.peek(1))) {
      reader.next()
      comment = unquoted(reader.next())
    } else statements.push(reader.statement())
  }
  return { statements, ...(comment !== undefined && { comment }), ...(handle !== undefined && { handle }) }
}

function readSet(
  reader: RuleReader,
  builder: RulesetBuilder,
  { table, kind }: { readonly table: TableName; readonly kind: 'set' | 'map' },
): void {
  const name = unquoted(reader.next())
  let key: readonly string[] = []
  let data: readonly string[] | undefined
  let flags: readonly string[] = []
  let elements: readonly NftElement[] = []
  const more: { timeoutSeconds?: number; size?: number; comment?: string } = {}
  reader.expect('{')
  for (reader.skipHandle(); !reader.takeIf('}'); reader.skipHandle()) {
    const word = reader.next()
    switch (word) {
      case 'type':
      case 'typeof':
        key = readTypes(reader, word)
        if (reader.takeIf(':')) data = readTypes(reader, word)
        break
      case 'flags':
        flags = reader.wordsOfLine()
        break
      case 'timeout': {
        const seconds = secondsOf(reader.next())
        if (seconds !== undefined) more.timeoutSeconds = seconds
        break
      }
      case 'size':
        more.size = Number(reader.next())
        break
      case 'comment':
        more.comment = unquoted(reader.next())
        break
      case 'elements':
        reader.expect('=')
        elements = reader.elements()
        break
      default:
        // `auto-merge`, `gc-interval 1m`, `counter`: what no packet asks.
        if (word !== END_OF_LINE && word !== ';') reader.wordsOfLine()
    }
  }
  builder.set(table, { kind, name, key, ...(data !== undefined && { data }), flags, ...more, elements })
}

/** `ipv4_addr . inet_service`, or expressions whose types these are. */
function readTypes(reader: RuleReader, word: 'type' | 'typeof'): readonly string[] {
  const types: string[] = []
  do {
    if (word === 'type' || reader.peek() === 'verdict') types.push(reader.next())
    else {
      const expression = reader.key()
      types.push(...(expression.type === 'concat' ? expression.parts : [expression]).map(dataTypeOf))
    }
  } while (reader.takeIf('.'))
  return types
}
