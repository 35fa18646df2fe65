import { IptablesParseError, parseRestoreLine, parseSaveLines, type SavedChain, type SavedTable } from 'node-iptables'
import { CHAIN_PREFIX } from '../ruleset/layout.js'

const RULE_OF_PROXY = `-A ${CHAIN_PREFIX}`

/** A chain of which the text is known as well. Its rules are parsed on request. */
export interface TextChain extends SavedChain {
  /** `-A CHAIN ...`, a rule each. */
  readonly lines: readonly string[]
}

export const isTextChain = (chain: SavedChain): chain is TextChain => 'lines' in chain

/** How many rules the chain has, without reading them. */
export const sizeOf = (chain: SavedChain): number => (isTextChain(chain) ? chain.lines.length : chain.rules.length)

/**
 * Reads what iptables-save printed, but for the rules of chains whose names begin with KUBE-: nearly all of a node's rules, of which an audit
 * needs the text alone as long as it is as it should be. Fails with an IptablesParseError, or what `refuse` makes of it, as
 * reading such a rule later does. Rules with counters are read at once.
 */
export async function readTables(
  lines: AsyncIterable<string> | Iterable<string>,
  { refuse = (error) => error }: { readonly refuse?: Refuse } = {},
): Promise<readonly SavedTable[]> {
  const unread: Map<string, UnreadRules>[] = []
  let open: Map<string, UnreadRules> | undefined
  let number = 0

  const other = (text: string): string => {
    number += 1
    if (open !== undefined && text.startsWith(RULE_OF_PROXY)) {
      keep(open, text, number)
      // So that those after it are counted right.
      return ''
    }
    if (text.startsWith('*')) {
      open = new Map()
      unread.push(open)
    } else if (text === 'COMMIT') open = undefined
    return text
  }

  const others = Symbol.iterator in lines ? mapped(lines, other) : mappedLater(lines, other)
  const tables = await parseSaveLines(others).catch((error: unknown) => {
    throw error instanceof IptablesParseError ? refuse(error) : error
  })
  return tables.map(({ table, chains }, at) => {
    const rules = unread[at] ?? new Map<string, UnreadRules>()
    const declared = new Set(chains.map(({ chain }) => chain))
    for (const [
      chain,
      {
        lines: [text = ''],
        numbers: [line = 0],
      },
    ] of rules) {
      if (!declared.has(chain)) throw refuse(new IptablesParseError('UNDECLARED_CHAIN', { line, text, found: chain }))
    }
    return {
      table,
      chains: chains.map((chain) => {
        const own = rules.get(chain.chain)
        return own === undefined ? chain : textChain(chain, own, refuse)
      }),
    }
  })
}

function* mapped(lines: Iterable<string>, map: (line: string) => string): Generator<string, void, undefined> {
  for (const line of lines) yield map(line)
}

async function* mappedLater(
  lines: AsyncIterable<string>,
  map: (line: string) => string,
): AsyncGenerator<string, void, undefined> {
  for await (const line of lines) yield map(line)
}

type Refuse = (error: IptablesParseError) => Error

interface UnreadRules {
  readonly lines: string[]
  /** Where each stands. */
  readonly numbers: number[]
}

function keep(rules: Map<string, UnreadRules>, text: string, number: number): void {
  const end = text.indexOf(' ', 3)
  const chain = end < 0 ? text.slice(3) : text.slice(3, end)
  const known = rules.get(chain)
  if (known === undefined) rules.set(chain, { lines: [text], numbers: [number] })
  else {
    known.lines.push(text)
    known.numbers.push(number)
  }
}

function textChain(chain: SavedChain, { lines, numbers }: UnreadRules, refuse: Refuse): TextChain {
  let read: SavedChain['rules'] | undefined
  const readOne = (text: string, at: number): SavedChain['rules'] => {
    try {
      const line = parseRestoreLine(text, numbers[at] ?? 0)
      return line.type === 'append' ? [{ rule: line.rule }] : []
    } catch (error) {
      throw error instanceof IptablesParseError ? refuse(error) : error
    }
  }
  return {
    ...chain,
    lines,
    get rules() {
      read ??= [...chain.rules, ...lines.flatMap(readOne)]
      return read
    },
  }
}
