import { IptablesParseError, parseRestoreLine } from 'node-iptables'
import { BUILT_IN, inferTables, listed, openSegment, type PastedLine, type Segment } from './inferred-tables.js'
import { isListingLine, listedSegments } from './listed-rules.js'

/** Rules as people paste them, as the lines of a save. */
export interface PastedRules {
  /** What iptables-save would have printed. */
  readonly lines: readonly string[]
  /** What was taken for granted to read them so, a sentence each. */
  readonly notes: readonly string[]
  /** Whether chains or rules are left out: what is not in the text may be on the node. */
  readonly isPart: boolean
}

/** Makes the error to throw; its message is for people. */
type Refuse = (message: string, options?: ErrorOptions) => Error

/**
 * Reads what iptables-save printed, also with carriage returns, colours, prompts and the command itself around it; what
 * `iptables -S` prints, and `iptables -nvL` as far as that is without doubt, of one table or several; and lines of a save, such as
 * grep leaves. The tables of such lines are inferred, which the notes say. Throws what `refuse` makes for everything else.
 */
export function readPastedRules(text: string, refuse: Refuse): PastedRules {
  if (isPlainSave(text)) return { lines: text.split('\n'), notes: [], isPart: false }
  const { lines, isCut } = cleanLines(text)
  const notes = isCut ? ['lines are left out of the text: what they say is not known'] : []
  if (lines.some(({ text: line }) => line.startsWith('*'))) {
    const filled = declareChains(lines)
    return { lines: filled.lines, notes: [...notes, ...filled.notes], isPart: isCut || filled.notes.length > 0 }
  }
  const segments = lines.some(({ text: line }) => isListingLine(line))
    ? listedSegments(lines, refuse)
    : statedSegments(lines, refuse)
  for (const { rules } of segments) for (const { text: rule, number } of rules) parsed(rule, number, refuse)
  const tables = inferTables(segments, refuse)
  return { lines: tables.lines, notes: [...notes, ...tables.notes], isPart: isCut || tables.isPart }
}

/** Begins a colour of a terminal, as of grep. */
const ESCAPE = '\u001B'

/** The usual case, of up to a million lines: nothing stands in it that iptables-save does not print, and built-in chains are first. */
const isPlainSave = (text: string): boolean =>
  /^\*/m.test(text) &&
  !text.includes(ESCAPE) &&
  !/^[^*:#\-[C\n]|^\[(?!\d+:\d+\])|\r|^# ?(?:sudo |\/\S+\/)?ip6?tables|^\*\w+\n(?!:(?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) )/m.test(
    text,
  )

/** Characters of a prompt with its command. */
const LONGEST_COMMAND = 500

function cleanLines(text: string): { readonly lines: readonly PastedLine[]; readonly isCut: boolean } {
  let isCut = false
  const [first = '', ...coloured] = text.split(`${ESCAPE}[`)
  const plain = [first, ...coloured.map((part) => part.replace(/^[\d;]*[A-Za-z]/, ''))].join('')
  const raw = plain.split('\n').map((line) => line.replace(/\r+$/, ''))
  const prefix = commonPrefix(raw)
  const lines = raw.map((line, at): PastedLine => {
    const number = at + 1
    const bare = line.replace(prefix, '').trimStart()
    const isRule = isCounted(bare) || /^(?:[*:-]\S|COMMIT\b)/.test(bare)
    if (isRule || bare.length > LONGEST_COMMAND) return { number, text: bare }
    const [, program = '', isSave, options = ''] = COMMAND.exec(bare) ?? []
    if (program !== '') {
      const [, table = 'filter'] = /(?:^|\s)(?:-t|--table)[ =]?(\w+)/.exec(options) ?? []
      return { number, text: '', command: { table, isSave: isSave !== undefined } }
    }
    if (/^(?:\.{3}|…|\[\.{3}\]|<(?:snip|cut)>)/i.test(bare)) isCut = true
    else if (!NOISE.test(bare)) return { number, text: bare }
    return { number, text: '' }
  })
  return { lines, isCut }
}

const isCounted = (line: string): boolean => /^\[\d+:\d+\] -/.test(line)

/** `[root@node ~]# iptables -t nat -S`, `$ kubectl exec kube-proxy-x -- iptables-save`; a comment of iptables-save is none. */
const COMMAND =
  /^(?:.*[#$%>] ?|)(?:sudo )?(?:kubectl .*-- |docker exec .* |nsenter .* |crictl exec .* )?(?:\/\S*\/)?(ip6?tables)(?:-(?:nft|legacy))?(-save)?((?: .*)?)$/

/** Empty prompts, marks of markdown and of grep, and what kubectl and sudo say. */
const NOISE =
  /^(?:$|--$|```|[^*:].*[#$%>] *(?:exit|logout)?$|\$$|Defaulted container |Unable to use a TTY|\[sudo\] |Warning: |logout$|exit$|\^C)/

/** What stands before each line: the marks of a quotation, or the numbers that grep and cat give lines. */
function commonPrefix(lines: readonly string[]): RegExp {
  const filled = lines.filter((line) => line.trim() !== '')
  const found = [/^> ?/, /^\s*\d+(?:[:-]|\t|\s{2})/].find((prefix) => filled.every((line) => prefix.test(line)))
  return filled.length > 0 && found !== undefined ? found : /^/
}

/** A save of which grep left the tables, but not all chains that its rules are in. */
function declareChains(lines: readonly PastedLine[]): {
  readonly lines: readonly string[]
  readonly notes: readonly string[]
} {
  const known = new Map<number, { readonly declared: Set<string>; readonly missing: Set<string> }>()
  let table = { declared: new Set<string>(), missing: new Set<string>() }
  for (const [at, { text }] of lines.entries()) {
    if (text.startsWith('*')) known.set(at, (table = { declared: new Set(), missing: new Set() }))
    const chain = /^:(\S+)/.exec(text)?.[1]
    if (chain !== undefined) table.declared.add(chain)
    const ofRule = /^(?:\[\d+:\d+\] )?-A (\S+)/.exec(text)?.[1]
    if (ofRule !== undefined && !table.declared.has(ofRule)) table.missing.add(ofRule)
  }
  const all = [...known.values()].flatMap(({ missing }) => [...missing])
  if (all.length === 0) return { lines: lines.map(({ text }) => text), notes: [] }
  const filled = lines.flatMap(({ text }, at) => {
    const missing = [...(known.get(at)?.missing ?? [])]
    return [text, ...missing.map((chain) => `:${chain} ${BUILT_IN.has(chain) ? 'ACCEPT' : '-'} [0:0]`)]
  })
  return { lines: filled, notes: [`the text is a part of a save: it does not declare ${listed(all)}`] }
}

/** What `iptables -S` prints: policies, then chains, then rules; and the lines that grep leaves of a save. */
function statedSegments(lines: readonly PastedLine[], refuse: Refuse): readonly Segment[] {
  let segment = openSegment()
  const segments = [segment]
  const begin = (table?: string): void => void segments.push((segment = openSegment(table)))
  for (const { number, text, command } of lines) {
    if (command !== undefined) begin(command.isSave ? undefined : command.table)
    if (text === '' || text.startsWith('#') || text === 'COMMIT') continue
    const line = parsed(withoutCounters(text), number, refuse)
    if (line.type === 'append') segment.rules.push({ number, chain: line.chain, text: withoutCounters(text) })
    else if (line.type === 'policy' || line.type === 'chain' || line.type === 'new-chain') {
      const { policy } = line.type === 'new-chain' ? {} : line
      // A table has each chain once, and its built-in chains first.
      const isNext = policy !== undefined && segment.chains.size > segment.policies.size
      if (segment.rules.length > 0 || isNext || segment.chains.has(line.chain)) begin()
      segment.chains.add(line.chain)
      if (policy !== undefined) segment.policies.set(line.chain, policy)
    } else
      throw refuse(`line ${number}: not what iptables-save or iptables -S prints: ${JSON.stringify(text.slice(0, 80))}`)
  }
  return segments.filter(({ chains, rules }) => chains.size + rules.length > 0)
}

/** Of `iptables-save -c` and `iptables -S -v`. */
function withoutCounters(text: string): string {
  const bare = text.replace(/^\[\d+:\d+\] /, '')
  const found = / -c \d+ \d+(?= |$)/.exec(bare)
  const isQuoted = found !== null && (bare.slice(0, found.index).split('"').length - 1) % 2 === 1
  return found === null || isQuoted ? bare : bare.slice(0, found.index) + bare.slice(found.index + found[0].length)
}

function parsed(text: string, number: number, refuse: Refuse): ReturnType<typeof parseRestoreLine> {
  try {
    return parseRestoreLine(text, number)
  } catch (error) {
    throw error instanceof IptablesParseError ? refuse(error.message, { cause: error }) : error
  }
}
