import { type AuditFinding, type ChangingProcess, type Dataplane, shortList } from '@pointsman/core'

export interface Damage {
  /** When a look first saw the rules wrong. */
  readonly since: number
  readonly findingCount: number
  /** What is wrong where, a clause each: `IPv4 nat KUBE-SERVICES: 3 missing rules (shop/web:http)`. */
  readonly texts: readonly string[]
  /** Service ports whose rules are wrong; none: rules that are there whatever Services there are. */
  readonly servicePorts: readonly string[]
  /** Processes that changed tables between the last look that did not see it and the first that did; none: not known. */
  readonly by: readonly ChangingProcess[]
}

/** A difference that no possible state explains is damage when it lasts so long: a proxy may hear of a change before we do. */
export const ACCUSED_AFTER_MS = 3000

/** `IPv4: the table has none of the proxy's chains: nat`. */
export function findingText(
  { type, family, table, chain, owner, claims, detail, count }: AuditFinding,
  { findings }: Pick<Dataplane, 'findings'>,
): string {
  const place = [table, chain].filter((part) => part !== '').join(' ')
  const whose = owner ?? claims
  return [
    [family, place].filter((part) => part !== '').join(' '),
    `${findings[type]?.meaning ?? type}${whose === undefined ? '' : ` (${whose})`}${count === undefined ? '' : ` (${count})`}`,
    ...(detail === undefined ? [] : [detail]),
  ].join(': ')
}

interface Suspicion {
  readonly finding: AuditFinding
  /** When the look began that first saw it. */
  readonly since: number
  /** Who changed tables between the look before and that one. */
  readonly by: readonly ChangingProcess[]
}

/** Differences that no possible state explains, for as long as each look sees them again. */
export function createSuspicions() {
  let suspicions: ReadonlyMap<string, Suspicion> = new Map()
  return {
    /** Those that may be accused, as of a look that began at `at`. */
    after(
      wrong: readonly AuditFinding[],
      { at, sureFrom, by }: { readonly at: number; readonly sureFrom: number; readonly by: Suspicion['by'] },
    ): readonly Suspicion[] {
      suspicions = new Map(
        wrong.map((finding) => {
          const key = keyOf(finding)
          return [key, suspicions.get(key) ?? { finding, since: at, by }]
        }),
      )
      return [...suspicions.values()].filter(({ since }) => at >= sureFrom && at - since >= ACCUSED_AFTER_MS)
    },
    get size() {
      return suspicions.size
    },
  }
}

// How much there is of it may change between two looks.
const keyOf = ({ expected, found, count: _, detail: _detail, ...rest }: AuditFinding): string =>
  JSON.stringify([rest, expected?.map(({ line }) => line), found?.map(({ line }) => line)])

export function damageOf(
  lasting: readonly Suspicion[],
  { before, dataplane }: { readonly before: Damage | undefined; readonly dataplane: Pick<Dataplane, 'findings'> },
): Damage | undefined {
  if (lasting.length === 0) return undefined
  const findings = lasting.map(({ finding }) => finding)
  return {
    since: before?.since ?? Math.min(...lasting.map(({ since }) => since)),
    findingCount: findings.length,
    texts: placesOf(findings, dataplane),
    servicePorts: [...new Set(findings.flatMap(({ owner, claims }) => owner ?? claims ?? []))].toSorted(),
    by: [...new Map(lasting.flatMap(({ by }) => by.map((one) => [one.pid, one]))).values()].slice(-MAX_SUSPECTS),
  }
}

/** What was found in each place, by its type; where most was found first, which a text that is cut short still has. */
function placesOf(
  findings: readonly AuditFinding[],
  { findings: kinds }: Pick<Dataplane, 'findings'>,
): readonly string[] {
  const groups = new Map<string, AuditFinding[]>()
  for (const finding of findings) {
    const key = [finding.family, finding.table, finding.chain, finding.type].join(' ')
    groups.set(key, [...(groups.get(key) ?? []), finding])
  }
  const largestFirst = [...groups.values()].toSorted((a, b) => b.length - a.length)
  return largestFirst.flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { family, table, chain, type, detail } = first
    const [one = type, several = type] = kinds[type]?.nouns ?? []
    const whose = [...new Set(group.flatMap(({ owner, claims }) => owner ?? claims ?? []))]
    const what = [
      `${group.length} ${group.length === 1 ? one : several}`,
      ...(whose.length > 0 ? [`(${shortList(whose, MAX_WHOSE)})`] : []),
    ].join(' ')
    const place = [family, table, chain].filter((part) => part !== '').join(' ')
    return [[place, what, ...(detail === undefined ? [] : [detail])].join(': ')]
  })
}

const MAX_WHOSE = 3

/** Who changed tables from one look to the next. Programs that wrote what was good are not the first to ask. */
export function createCommits() {
  const usual = new Set<string>()
  let isHeard = false
  let lastAt: number | undefined
  let recent: readonly (ChangingProcess | undefined)[] = []
  let before = 0
  return {
    hear: (listens: boolean) => void (isHeard = listens),
    add(by: ChangingProcess | undefined, at: number) {
      lastAt = at
      recent = [...recent, by]
      if (recent.length <= MAX_COMMITS) return
      recent = recent.slice(1)
      before = Math.max(0, before - 1)
    },
    /** Whether all changes are heard of, and there was none since. */
    isQuietSince: (at: number): boolean => isHeard && (lastAt === undefined || lastAt < at),
    /** A look begins. When the last change before it was heard; undefined: there was none, or not all are heard. */
    begin() {
      before = recent.length
      return isHeard ? lastAt : undefined
    },
    /** A look has ended: who may have made what it found. */
    end({ isGood }: { readonly isGood: boolean }): readonly ChangingProcess[] {
      const all = recent.flatMap((by) => by ?? [])
      if (isGood) for (const by of recent.slice(0, before)) if (by !== undefined) usual.add(by.command)
      // What was changed while the tables were read may be found by the next look alone.
      recent = recent.slice(before)
      const unusual = all.filter(({ command }) => !usual.has(command))
      const chosen = unusual.length > 0 ? unusual : all
      return [...new Map(chosen.map(({ pid, command }) => [pid, { pid, command }])).values()].slice(-MAX_SUSPECTS)
    },
  }
}

const MAX_COMMITS = 200

const MAX_SUSPECTS = 5

/** `iptables (process 4711)`. */
export const processText = ({ pid, command }: ChangingProcess): string => `${command} (process ${pid})`
