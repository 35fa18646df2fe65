import { formatRule, type Iptables, parseRestoreLine, type Rule } from 'node-iptables'
import { chainKey, type ChainKey, type Found, linesOf, type RuleLines } from '../plan/installed.js'
import { CHAIN_PREFIX, CHAINS, chainsOfRole, type Layout, MARK_DROP } from '../ruleset/layout.js'
import { type JumpRule, type Table, TABLES } from '../ruleset/ruleset.js'
import { chainOf, hasMarkDrop, isOurChain, isOurJump } from '../chain-owner.js'

/** A rule of another program that leads to a chain of ours, so that the chain cannot be deleted. */
export interface ForeignReference {
  readonly table: Table
  /** Where the rule stands. */
  readonly from: string
  /** In iptables-save's spelling. */
  readonly rule: string
  readonly chain: string
}

export interface Reading extends Found {
  readonly foreign: readonly ForeignReference[]
}

/**
 * Reads what is in the kernel of the proxy's chains, and what leads to them. Changes nothing. All tables are read at once,
 * because iptables-nft-save reads all of them whichever it is asked for.
 */
export async function readFound(
  iptables: Pick<Iptables, 'saveLines'>,
  { layout, signal }: { readonly layout: Layout; readonly signal?: AbortSignal | undefined },
): Promise<Reading> {
  const reader = foundReader(layout)
  for await (const line of iptables.saveLines({}, { signal })) reader.read(line)
  return reader.end()
}

interface FoundReader {
  /** One line of a save after the other, its tables in any order. */
  readonly read: (line: string) => void
  readonly end: () => Reading
}

/** Takes from a save what it has of the proxy's chains, of any layout, and what leads to them; jumps as this layout has them. */
export function foundReader(layout: Layout): FoundReader {
  const chains = new Map<ChainKey, RuleLines>()
  const foreign: ForeignReference[] = []
  const jumps: JumpRule[] = []
  const firewall: Rule[] = []
  const kubelets: ReadonlySet<ChainKey> = new Set(
    chainsOfRole(layout, 'kubelet').map(({ table: of, chain }) => chainKey(of, chain)),
  )
  /** Of the nat table: what kubelet has in the filter table says whose this chain is. */
  const aboutMarkDrop: string[] = []
  let table: Table | undefined
  let isMarkDropOurs: boolean | undefined
  /** The chain whose rules are being read: its text is made once, when they are complete. */
  let open: { readonly chain: string; readonly key: ChainKey; readonly rules: string[] } | undefined

  const close = (): void => {
    if (open !== undefined) chains.set(open.key, open.rules.join('\n'))
    open = undefined
  }

  const isOurs = (chain: string): boolean =>
    isOurChain(chain) ||
    (isMarkDropOurs === true && table === 'nat' && chain === MARK_DROP && !kubelets.has(chainKey(table, chain)))

  const declare = (inTable: Table, chain: string): void => {
    if (isOurs(chain) || kubelets.has(chainKey(inTable, chain))) chains.set(chainKey(inTable, chain), '')
  }

  const append = (inTable: Table, chain: string, text: string): void => {
    const rule = text.slice(`-A ${chain} `.length)
    if (open?.chain !== chain) {
      close()
      const key = chainKey(inTable, chain)
      const sofar = chains.get(key)
      if (sofar === undefined) return
      open = { chain, key, rules: [...linesOf(sofar)] }
    }
    open.rules.push(rule)
  }

  const note = (inTable: Table, from: string, text: string): void => {
    if (!LEADS_TO_KUBE.test(text)) return
    const rule = ruleOf(text)
    const jump: JumpRule = { table: inTable, chain: from, rule }
    const chain = chainOf(rule)
    if (isJumpOfNote(jump, layout)) jumps.push(jump)
    else if (chain !== undefined && isOurs(chain)) {
      foreign.push({ table: inTable, from, rule: formatRule(rule), chain })
    }
  }

  const take = (inTable: Table, text: string): void => {
    if (text.startsWith(':')) return declare(inTable, text.slice(1, text.indexOf(' ')))
    if (!text.startsWith('-A ')) return
    const from = chainOfLine(text)
    if (isOurs(from)) return append(inTable, from, text)
    if (kubelets.has(chainKey(inTable, from))) append(inTable, from, text)
    if (from === CHAINS.firewall && inTable === 'filter') firewall.push(ruleOf(text))
    note(inTable, from, text)
  }

  return {
    read(text) {
      if (text.startsWith('*')) {
        close()
        table = TABLES.find((one) => text === `*${one}`)
      } else if (table === 'nat' && text.includes(MARK_DROP) && !isOurChain(chainOfLine(text))) aboutMarkDrop.push(text)
      else if (table !== undefined) take(table, text)
    },
    end() {
      close()
      table = 'nat'
      isMarkDropOurs = !hasMarkDrop(firewall)
      for (const text of aboutMarkDrop) take(table, text)
      close()
      const { missing, extra } = jumpsFound(jumps, layout)
      return {
        chains,
        missingJumps: missing,
        extraJumps: extra,
        referred: new Set(foreign.map(({ table: of, chain }) => chainKey(of, chain))),
        foreign,
      }
    },
  }
}

const LEADS_TO_KUBE = new RegExp(` -[jg] ${CHAIN_PREFIX}`)

/** Of a line that begins with `-A `; of others nothing that counts. */
function chainOfLine(text: string): string {
  const end = text.indexOf(' ', 3)
  return end < 0 ? text.slice(3) : text.slice(3, end)
}

/** The rule of a line that begins with `-A `. */
function ruleOf(text: string): Rule {
  const line = parseRestoreLine(text, 1)
  return line.type === 'append' ? line.rule : { matches: [] }
}

interface JumpsFound {
  /** To be put before all others of their chain, in this order. */
  readonly missing: readonly JumpRule[]
  /** To be taken out before that: each takes out the first rule that reads so. */
  readonly extra: readonly JumpRule[]
}

/** Whether `jumpsFound` needs a rule: it stands where the proxy's jumps do, and is one of its making, or of kubelet's. */
export const isJumpOfNote = ({ table, chain, rule }: JumpRule, { jumps }: Pick<Layout, 'jumps'>): boolean =>
  jumps.some((jump) => jump.table === table && jump.chain === chain) &&
  (isOurJump(rule) || formatRule(rule) === KUBELETS)

/**
 * What has to be done about the jumps in the kernel's chains, of which these were found, in order. Those that are there stay
 * where they are as long as putting the others before them gives their order; else all of the chain are put in anew. Those
 * to KUBE-FIREWALL may stand anywhere: kubelet puts them in as well. Where one stands before ours it goes on doing so when others are put
 * before these, as after a start.
 */
export function jumpsFound(there: readonly JumpRule[], { jumps: all }: Pick<Layout, 'jumps'>): JumpsFound {
  const places = all.filter(
    ({ table, chain }, at) => at === all.findIndex((jump) => jump.table === table && jump.chain === chain),
  )
  const judged = places.flatMap(({ table, chain }) => {
    const [wanted, found] = [all, there].map((jumps) =>
      jumps.filter((jump) => jump.table === table && jump.chain === chain),
    )
    const ours = judgeOurs(wanted?.filter(isOurs), found?.filter(isOurs))
    const kubelets = judgeKubelets(wanted?.filter(isKubelets), found?.filter(isKubelets))
    const [first, ...rest] = found ?? []
    const isFirst = first !== undefined && isKubelets(first) && rest.some(isOurs)
    if (!isFirst || ours.missing.length === 0 || kubelets.extra.length > 0) return [ours, kubelets]
    return [ours, { missing: wanted?.filter(isKubelets) ?? [], extra: [first] }]
  })
  const missing = new Set(judged.flatMap((one) => one.missing))
  return { missing: all.filter((jump) => missing.has(jump)), extra: judged.flatMap(({ extra }) => extra) }
}

const KUBELETS = formatRule({ matches: [], target: { type: 'jump', chain: CHAINS.firewall } })
const isKubelets = ({ rule }: JumpRule): boolean => chainOf(rule) === CHAINS.firewall
const isOurs = (jump: JumpRule): boolean => !isKubelets(jump)

function judgeOurs(wanted: readonly JumpRule[] = [], there: readonly JumpRule[] = []): JumpsFound {
  const lacking = wanted.length - there.length
  const isEnd = lacking >= 0 && textOf(there) === textOf(wanted.slice(lacking))
  return isEnd ? { missing: wanted.slice(0, lacking), extra: [] } : { missing: wanted, extra: there }
}

const textOf = (jumps: readonly JumpRule[]): string => jumps.map(({ rule }) => formatRule(rule)).join('\n')

const judgeKubelets = (wanted: readonly JumpRule[] = [], there: readonly JumpRule[] = []): JumpsFound => ({
  missing: there.length === 0 ? wanted : [],
  extra: wanted.length === 0 ? [] : there.slice(wanted.length),
})
