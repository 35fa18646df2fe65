import { formatRule } from 'node-iptables'
import { deletionRank } from '../ruleset/layout.js'
import type { Table } from '../ruleset/ruleset.js'
import type { Changes, DispatchChange, ServiceWrites } from './changes-to.js'
import { chainOf, linesOf, tableOf, type ChainKey, type RuleLines } from './installed.js'

/** How large a restore may be, and when a chain is written anew instead of rule by rule; chosen by measurement. */
export interface RestoreLimits {
  /** Lines of one restore, as far as services can be distinguished. */
  readonly maxLines: number
  /** As many changes of one shared chain as cost what writing it anew costs. A deletion counts as several. */
  readonly rewriteAt: number
  readonly deletionWeight: number
}

/** One input of `iptables-restore --noflush`, line by line without line ends. */
export type RestoreLines = readonly string[]

/**
 * Restores that bring the changes about, in order. At every COMMIT each packet meets the old rules of its service or the
 * new ones, complete: what a service is refused with is in filter, which a packet meets after nat, so that new rules are
 * put into filter first, then nat changes, then old rules are taken out of filter. In nat, chains are written before a
 * shared chain leads to them, and deleted after none does. Each is written when it is asked for: all of a large cluster's
 * take more memory than what they are made from.
 */
export function planRestores(changes: Changes, limits: RestoreLimits): Generator<RestoreLines, void, undefined> {
  return packed(commitsOf(changes, limits), limits)
}

function* commitsOf(changes: Changes, limits: RestoreLimits): Generator<Commit, void, undefined> {
  yield* fixedCommit('mangle', changes)
  yield* firstOfFilter(changes, limits)
  yield* chunksOfNat(changes, limits)
  yield* lastOfNat(changes, limits)
  yield* lastOfFilter(changes, limits)
}

interface Commit {
  readonly table: Table
  readonly lines: readonly string[]
}

/** The mangle table has fixed chains alone. */
const fixedCommit = (table: Table, changes: Changes): readonly Commit[] => commitOf(table, fixedLines(table, changes))

function firstOfFilter(changes: Changes, limits: RestoreLimits): readonly Commit[] {
  const dispatch = dispatchIn('filter', changes)
  return commitOf('filter', [
    ...dispatch.filter(({ isNew }) => isNew).map(({ key }) => emptyLine(key)),
    ...fixedLines('filter', changes),
    ...kubeletLines('filter', changes),
    ...dispatch.flatMap((change) => {
      if (change.isNew) return appended(change.key, change.whole())
      // A rule that is taken out and put in is moved: at once, or it would be taken out where it is put in.
      const moved = isRewritten(change, limits) ? [] : common(change.deleted, change.inserted)
      return [...deleted(change.key, moved), ...inserted(change.key, change.inserted)]
    }),
  ])
}

/** Chains of services, a service never cut. What leads to them is written later. */
function* chunksOfNat(changes: Changes, { maxLines }: RestoreLimits): Generator<Commit, void, undefined> {
  let chunk: string[] = [
    ...dispatchIn('nat', changes)
      .filter(({ isNew }) => isNew)
      .map(({ key }) => emptyLine(key)),
    ...fixedLines('nat', changes),
    ...kubeletLines('nat', changes),
  ]
  for (const writes of changes.writes) {
    if (writes.withEntries) continue
    const lines = writtenLines(writes)
    if (chunk.length > 0 && chunk.length + lines.length > maxLines) {
      yield* commitOf('nat', chunk)
      chunk = []
    }
    for (const line of lines) chunk.push(line)
  }
  yield* commitOf('nat', chunk)
}

function lastOfNat(changes: Changes, limits: RestoreLimits): readonly Commit[] {
  const { maxLines } = limits
  const removed = removedIn('nat', changes).toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  const [inOne, inChunks] = removed.length * 2 <= maxLines ? [removed, []] : [[], chunked(removed, maxLines / 2)]
  return [
    ...commitOf('nat', [
      ...extraJumpLines('nat', changes),
      ...removalStart(inOne),
      ...changes.writes.filter(({ withEntries }) => withEntries).flatMap(writtenLines),
      ...dispatchIn('nat', changes).flatMap((change) => {
        if (change.isNew) return appended(change.key, change.whole())
        if (isRewritten(change, limits)) return [emptyLine(change.key), ...appended(change.key, change.whole())]
        return [...deleted(change.key, change.deleted), ...inserted(change.key, change.inserted)]
      }),
      ...removalEnd(inOne, changes),
      ...jumpLines('nat', changes),
    ]),
    ...inChunks.flatMap((keys) => commitOf('nat', [...removalStart(keys), ...removalEnd(keys, changes)])),
  ]
}

function lastOfFilter(changes: Changes, limits: RestoreLimits): readonly Commit[] {
  const removed = removedIn('filter', changes)
  return commitOf('filter', [
    ...extraJumpLines('filter', changes),
    ...removalStart(removed),
    ...dispatchIn('filter', changes).flatMap((change) => {
      if (change.isNew) return []
      if (isRewritten(change, limits)) return [emptyLine(change.key), ...appended(change.key, change.whole())]
      const moved = new Set(common(change.deleted, change.inserted))
      return deleted(
        change.key,
        change.deleted.filter((rule) => !moved.has(rule)),
      )
    }),
    ...changes.kubelet
      .filter(({ key }) => tableOf(key) === 'filter')
      .flatMap((change) => deleted(change.key, change.deleted)),
    ...removalEnd(removed, changes),
    ...jumpLines('filter', changes),
  ])
}

const isRewritten = (
  { isDamaged, deleted, inserted }: DispatchChange,
  { rewriteAt, deletionWeight }: RestoreLimits,
): boolean => isDamaged || deleted.length * deletionWeight + inserted.length > rewriteAt

const rank = (key: ChainKey): number => deletionRank(chainOf(key))

const removalStart = (keys: readonly ChainKey[]): readonly string[] => keys.map((key) => emptyLine(key))
const removalEnd = (keys: readonly ChainKey[], { referred }: Changes): readonly string[] =>
  keys.filter((key) => !referred.has(key)).map((key) => `-X ${chainOf(key)}`)

const dispatchIn = (table: Table, { dispatch }: Changes): readonly DispatchChange[] =>
  dispatch.filter(({ key }) => tableOf(key) === table)

const removedIn = (table: Table, { removed }: Changes): readonly ChainKey[] =>
  removed.filter((key) => tableOf(key) === table)

/** What they lack; what they are to lose goes last, when nat marks nothing for it any more. */
const kubeletLines = (table: Table, { kubelet }: Changes): readonly string[] =>
  kubelet
    .filter(({ key }) => tableOf(key) === table)
    .flatMap(({ key, isNew, rules }) => [...(isNew ? [emptyLine(key)] : []), ...appended(key, rules)])

const fixedLines = (table: Table, { fixed }: Changes): readonly string[] => {
  const written = fixed.filter(([key]) => tableOf(key) === table)
  return [
    ...written.map(([key]) => emptyLine(key)),
    ...written.flatMap(([key, rules]: readonly [ChainKey, RuleLines]) => appended(key, linesOf(rules))),
  ]
}

/** Each goes to the first place, so that the last one to come is the first one to stand. */
const jumpLines = (table: Table, { jumps }: Changes): readonly string[] =>
  jumps
    .filter((jump) => jump.table === table)
    .toReversed()
    .map(({ chain, rule }) => `-I ${chain} ${formatRule(rule)}`)

const extraJumpLines = (table: Table, { extraJumps }: Changes): readonly string[] =>
  extraJumps.filter((jump) => jump.table === table).map(({ chain, rule }) => `-D ${chain} ${formatRule(rule)}`)

function writtenLines(writes: ServiceWrites): readonly string[] {
  const chains = writes.chains()
  return [...chains.map(([key]) => emptyLine(key)), ...chains.flatMap(([key, rules]) => appended(key, linesOf(rules)))]
}

/** Makes the chain, or empties it. */
const emptyLine = (key: ChainKey): string => `:${chainOf(key)} - [0:0]`
const appended = (key: ChainKey, rules: readonly string[]): readonly string[] =>
  rules.map((rule) => `-A ${chainOf(key)} ${rule}`)
const deleted = (key: ChainKey, rules: readonly string[]): readonly string[] =>
  rules.map((rule) => `-D ${chainOf(key)} ${rule}`)
const inserted = (key: ChainKey, rules: readonly string[]): readonly string[] =>
  rules.toReversed().map((rule) => `-I ${chainOf(key)} ${rule}`)

const common = (some: readonly string[], others: readonly string[]): readonly string[] => {
  const among = new Set(others)
  return some.filter((rule) => among.has(rule))
}

const commitOf = (table: Table, lines: readonly string[]): readonly Commit[] =>
  lines.length === 0 ? [] : [{ table, lines }]

function chunked<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const length = Math.max(1, Math.floor(size))
  return Array.from({ length: Math.ceil(items.length / length) }, (_, at) =>
    items.slice(at * length, (at + 1) * length),
  )
}

/** Commits that follow each other go into one restore as long as they are small; those of one table become one. */
function* packed(commits: Iterable<Commit>, { maxLines }: RestoreLimits): Generator<RestoreLines, void, undefined> {
  let open: Commit[] = []
  let size = 0
  for (const commit of commits) {
    if (open.length > 0 && size + commit.lines.length > maxLines) {
      yield restoreOf(open)
      open = []
      size = 0
    }
    size += commit.lines.length
    const last = open.at(-1)
    if (last?.table === commit.table) open[open.length - 1] = { ...last, lines: [...last.lines, ...commit.lines] }
    else open.push(commit)
  }
  if (open.length > 0) yield restoreOf(open)
}

const restoreOf = (commits: readonly Commit[]): RestoreLines =>
  commits.flatMap(({ table, lines }) => [`*${table}`, ...lines, 'COMMIT'])
