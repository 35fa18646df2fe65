import { Composer, CST, type Document, isAlias, isCollection, isPair, isScalar, Lexer, LineCounter, Parser } from 'yaml'
import { foreignTextHint } from './foreign-text.js'
import { FileError } from './read-file.js'

/** The documents of a text, and what of it could not be used: `line 12: the JSON that begins here is cut off`. */
export interface ParsedDocuments {
  readonly documents: readonly unknown[]
  readonly problems: readonly string[]
}

/**
 * The documents of a YAML or JSON text, empty ones left out; also of several JSON values one after the other, with other text
 * between them, as `kubectl get --watch` and `kubectl cluster-info dump` print them. FileError NOT_YAML names the file and the
 * place; NOT_OBJECTS says that the text is YAML, and nests deeper, holds more aliases or is otherwise put together as no file
 * for this program is.
 */
export function parseDocuments({ name, text }: { readonly name: string; readonly text: string }): ParsedDocuments {
  const json = parseJson(name, text)
  if (json !== undefined) return { documents: [json.value], problems: [] }
  try {
    return parseSeveral(text) ?? { documents: parsePastedYaml(text), problems: [] }
  } catch (error) {
    if (error instanceof TooManyValues) throw new FileError('CANNOT_READ', name, error.message)
    const hint = foreignTextHint(text)
    if (hint !== undefined) throw new FileError('NOT_OBJECTS', name, hint, { cause: error })
    if (error instanceof YamlError) throw new FileError(error.code, name, error.message)
    throw FileError.from('NOT_YAML', name, error)
  }
}

/** YAML, also with the prompts of the shell that printed it. */
function parsePastedYaml(text: string): readonly unknown[] {
  try {
    return parseYaml(text)
  } catch (error) {
    const bare = text.length > MOST_CHARACTERS ? text : text.replaceAll(PROMPT, '')
    if (bare.length === text.length) throw error
    return parseYaml(bare)
  }
}

/** `[root@node ~]# kubectl get services -o yaml`, and the prompt after it. YAML of the API has no such line. */
const PROMPT =
  /^[^\s:][^\n]{0,100}?[$#%>] ?(?:[^\n]{0,20}\b(?:kubectl|oc|cat)\b[^\n]*)?\r?$|^[$#%>] ?(?:[^\n]{0,20}\b(?:kubectl|oc|cat)\b[^\n]*)?\r?$/gm

/** What has been spent on a text of several values: what they hold, and what was looked through in vain. */
interface Room {
  values: number
  looks: number
}

/** How many times the length of a text may be looked through for ends that JSON does not have. */
const MOST_LOOKS = 4

/** Damaged documents that are named. */
const MOST_PROBLEMS = 20

/**
 * JSON values that begin at the beginning of a line, and the YAML between them; undefined where there is no such value. Lines
 * of other programs between are passed over, also those that are JSON but no document of the API.
 */
function parseSeveral(text: string): ParsedDocuments | undefined {
  const documents: unknown[] = []
  const problems: string[] = []
  const room = { values: MOST_VALUES, looks: MOST_LOOKS * text.length + 1_000_000 }
  let done = 0
  let hasJson = false
  for (let start = nextOpening(text, 0); start !== -1;) {
    const found = jsonAt(text, start, room)
    if (found === undefined) {
      if (isOfTheApi(text.slice(start, start + LOOKED_AT)) && problems.length < MOST_PROBLEMS)
        problems.push(`line ${lineAt(text, start)}: the JSON that begins here is damaged or cut off: it is not used`)
      start = nextOpening(text, start + 1)
      continue
    }
    for (const document of yamlIn(text, done, start)) documents.push(document)
    documents.push(found.value)
    hasJson = true
    done = found.end
    start = nextOpening(text, done, { isAdjacent: true })
  }
  return hasJson ? { documents: [...documents, ...yamlIn(text, done, text.length)], problems } : undefined
}

/** Where the next value may begin: at the beginning of a line, or right behind the one before it. */
function nextOpening(text: string, from: number, { isAdjacent = false } = {}): number {
  const opening = isAdjacent ? /(?:[ \t]*|(?<=\n))[[{]/y : /^[[{]/gm
  opening.lastIndex = from
  const found = opening.exec(text)
  if (found !== null) return found.index + found[0].length - 1
  return isAdjacent ? nextOpening(text, from) : -1
}

/** The value that begins at `start`, and where it ends; undefined where it is no JSON. Throws TooManyValues. */
function jsonAt(
  text: string,
  start: number,
  room: Room,
): { readonly value: unknown; readonly end: number } | undefined {
  const { end, isWhole } = endOfJson(text, start)
  if (isWhole) {
    const json = text.slice(start, end)
    try {
      const value: unknown = JSON.parse(json)
      room.values -= valuesIn(json)
      if (room.values < 0) throw new TooManyValues(`it holds more than ${MOST_VALUES} values`)
      return { value, end }
    } catch (error) {
      if (error instanceof TooManyValues) throw error
    }
  }
  room.looks -= end - start
  if (room.looks < 0) throw new TooManyValues('it holds too much JSON that is damaged or cut off')
  return undefined
}

/** Where the value that begins at `start` ends, or can no longer be JSON. */
function endOfJson(text: string, start: number): { readonly end: number; readonly isWhole: boolean } {
  let depth = 0
  let lineEnd = start
  for (let at = start; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === QUOTE) {
      if (lineEnd <= at) lineEnd = text.indexOf('\n', at)
      if (lineEnd === -1) lineEnd = text.length
      at = endOfString(text, at)
      // JSON writes a line feed in a string as \n.
      if (at > lineEnd) return { end: lineEnd, isWhole: false }
    } else if (character === OPENING_BRACE || character === OPENING_BRACKET) depth += 1
    else if (character === CLOSING_BRACE || character === CLOSING_BRACKET) {
      depth -= 1
      if (depth === 0) return { end: at + 1, isWhole: true }
    } else if (!JSON_CHARACTERS.has(character)) return { end: at, isWhole: false }
  }
  return { end: text.length, isWhole: false }
}

/** Outside strings: blanks, commas, colons, numbers, true, false and null. */
const JSON_CHARACTERS: ReadonlySet<number> = new Set(
  [...' \t\r\n,:0123456789+-.eEtrufalsn'].map((character) => character.charCodeAt(0)),
)

const LOOKED_AT = 200
/** A document of the API, or an event of a watch, as opposed to a line of a log. */
const isOfTheApi = (beginning: string): boolean =>
  /^\{\s*"(?:apiVersion|kind|metadata|items|type|observedAt)"\s*:/.test(beginning)

/** The YAML documents of a part of a text; none where it is something else. */
function yamlIn(text: string, from: number, to: number): readonly unknown[] {
  const part = text.slice(from, to)
  return /^(?:apiVersion|kind):/m.test(part) ? parseYaml(part) : []
}

function lineAt(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1
  return line
}

class YamlError extends Error {
  readonly code: 'NOT_YAML' | 'NOT_OBJECTS'

  constructor(code: YamlError['code'], message: string) {
    super(message)
    this.code = code
  }
}

// What kubectl prints is mostly JSON, which the YAML parser reads fifty times slower.
function parseJson(name: string, text: string): { readonly value: unknown } | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return { value: parseBoundedJson(text) }
  } catch (error) {
    if (error instanceof TooManyValues) throw new FileError('CANNOT_READ', name, error.message)
    return undefined
  }
}

/** What the API serves nests some ten levels. The parser's composer calls itself a level. */
const MOST_LEVELS = 200
/** The parser looks through all anchors for each alias. */
const MOST_ALIASES = 1000
/** Names, values, marks and the space between. They take up to 600 MB, and seconds; two megabytes of manifests have as many. */
const MOST_WORDS = 1_000_000
/** Of text that has few words: the parser splits it into lines. */
const MOST_CHARACTERS = 8 * 1024 * 1024

/**
 * The values of a YAML text's documents, without empty ones. Throws an error whose message is one line and tells the place. The
 * tokens are checked as they come: composing them is what deep input would overflow, and many aliases would make slow.
 */
export function parseYaml(text: string): readonly unknown[] {
  const lines = new LineCounter()
  const tokens = tokensOf(text, lines)
  // Keys that are there twice are found below: the parser compares each with each.
  const composer = new Composer({ logLevel: 'silent', prettyErrors: false, uniqueKeys: false })
  const values: unknown[] = []
  for (const document of composer.compose(tokens, false, text.length)) {
    const [error] = document.errors
    if (error !== undefined) throw new YamlError('NOT_YAML', `${error.message} ${placeOf(error.pos[0], lines)}`)
    refuseRepeatedKeys(document, lines)
    const value: unknown = document.toJS()
    if (value !== null && value !== undefined) values.push(value)
  }
  return values
}

function tokensOf(text: string, lines: LineCounter): readonly CST.Token[] {
  const parser = new Parser(lines.addNewLine)
  const tokens: CST.Token[] = []
  let aliases = 0
  let before = ''
  lines.addNewLine(0)
  if (text.length > MOST_CHARACTERS)
    throw new YamlError(
      'NOT_OBJECTS',
      `not valid JSON, and too large for YAML: more than ${MOST_CHARACTERS / 1024 / 1024} Mi characters: give JSON (kubectl -o json)`,
    )
  let words = 0
  for (const lexeme of new Lexer().lex(text)) {
    if (++words > MOST_WORDS)
      throw new YamlError('NOT_OBJECTS', `more than ${MOST_WORDS} words of YAML: give JSON (kubectl -o json)`)
    for (const token of parser.next(lexeme)) tokens.push(token)
    if (parser.stack.length > MOST_LEVELS)
      throw new YamlError('NOT_OBJECTS', `it nests deeper than ${MOST_LEVELS} levels`)
    if (lexeme.startsWith('*') && before !== CST.SCALAR && ++aliases > MOST_ALIASES)
      throw new YamlError('NOT_OBJECTS', `it holds more than ${MOST_ALIASES} aliases`)
    before = lexeme
  }
  for (const token of parser.end()) tokens.push(token)
  return tokens
}

function placeOf(offset: number, lines: LineCounter): string {
  const { line, col } = lines.linePos(offset)
  return `at line ${line}, column ${col}`
}

/** Refuses keys that a mapping has twice, and aliases that stand in what they stand for. */
function refuseRepeatedKeys(document: Document.Parsed, lines: LineCounter): void {
  const open = new Set<string>()
  const visit = (node: unknown): void => {
    if (isAlias(node) && open.has(node.source))
      throw new YamlError('NOT_OBJECTS', `the alias *${node.source} is recursive`)
    if (isPair(node)) {
      visit(node.key)
      visit(node.value)
    }
    if (!isCollection(node)) return
    const { anchor } = node
    const isOuter = anchor !== undefined && !open.has(anchor)
    if (isOuter) open.add(anchor)
    const keys = new Set<unknown>()
    for (const item of node.items) {
      const key = isPair(item) && isScalar(item.key) ? item.key : undefined
      if (key !== undefined && keys.has(key.value))
        throw new YamlError('NOT_YAML', `Map keys must be unique ${placeOf(key.range?.[0] ?? 0, lines)}`)
      if (key !== undefined) keys.add(key.value)
      visit(item)
    }
    if (isOuter) open.delete(anchor)
  }
  visit(document.contents)
}

/** A value takes up to 64 bytes of memory. A cluster at the limits of Kubernetes has some five million, managedFields included. */
const MOST_VALUES = 8_000_000

/**
 * The value of a JSON text. Throws a SyntaxError for what is no JSON, and TooManyValues for more than memory should be asked for: text of
 * three bytes a value takes twenty times its length.
 */
export function parseBoundedJson(text: string): unknown {
  // Each value but the first has a character of its own and one before it.
  if (text.length > 2 * MOST_VALUES && valuesIn(text) > MOST_VALUES)
    throw new TooManyValues(`it holds more than ${MOST_VALUES} values`)
  return JSON.parse(text)
}

class TooManyValues extends Error {}

/** Each value but the first comes after one of `[`, `{` and `,`; empty lists and objects are counted twice. */
function valuesIn(text: string): number {
  let values = 1
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === QUOTE) at = endOfString(text, at)
    else if (character === COMMA || character === OPENING_BRACKET || character === OPENING_BRACE) values += 1
  }
  return values
}

/** Where the quote is that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1
    while (text.charCodeAt(before) === BACKSLASH) before -= 1
    if ((end - before) % 2 === 1) return end
  }
  return text.length
}

const QUOTE = 34
const COMMA = 44
const OPENING_BRACKET = 91
const BACKSLASH = 92
const CLOSING_BRACKET = 93
const OPENING_BRACE = 123
const CLOSING_BRACE = 125
