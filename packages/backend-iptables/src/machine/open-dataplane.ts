import {
  DEFAULT_PROXY_CONFIG,
  messageOf,
  type CleanedFamily,
  type DataplaneChoices,
  type FamilyRules,
  type Machine,
  type MachineRules,
  type OpenDataplane,
  type OpenOptions,
  type SentInput,
  type SentInputs,
  type WatchChangesOptions,
} from '@pointsman/core'
import {
  createIptables,
  createWitness,
  IptablesError,
  ownProcesses,
  runProcess,
  watchChanges,
  type Iptables,
  type Run,
  type SavedTable,
  type Variant,
} from 'node-iptables'
import { createIptablesBackend } from '../adapter/iptables-backend.js'
import { prepareNode } from '../adapter/prepare-node.js'
import { readTables } from '../audit/text-tables.js'
import { LoadedTables, type OtherTables } from '../loaded-tables.js'
import { CHAINS } from '../ruleset/layout.js'
import { hasIpvsDevice, removeIpvsLeftovers } from './ipvs-leftovers.js'
import { describeChoice, openInstalled, openIptables, toolOf, withProgress } from './open-iptables.js'

/**
 * Finds iptables of each family, makes on the machine what the rules rely on, and gives the backend that writes them. Fails as
 * `openIptables`. Choices: `iptablesVariant` (auto, nft, legacy), `nfacct` (false: without kube-proxy's packet counters).
 */
export async function openDataplane(options: OpenOptions, machine: Machine): Promise<OpenDataplane> {
  const { config, choices, node, leaveOut, timeoutMs, onLeft } = options
  const own = ownProcesses({ run: runProcess, folder: options.folder })
  const witness = createWitness(options.bootId)
  const chosen = variantOf(choices)
  // The rules of both variants are as dear to count as to read.
  const before = chosen === 'auto' ? await witness.variantOf(options.lastSync?.mark) : undefined
  const wanted = { variant: before ?? chosen, families: options.families, run: own.run, leaveOut, timeoutMs }
  const opened = await openIptables(wanted, machine)
  const [first] = opened
  if (first === undefined) throw new Error('no family was asked for')
  const families = opened.map(({ family }) => family)
  const { run, skipped } = options.dryRun === true ? dryRunner(own.run) : { run: own.run, skipped: [] }
  const prepared = await prepareNode({ run, config, families, node, signal: machine.signal })
  for (const warning of prepared.warnings) machine.warn(warning)
  if (choices['nfacct'] === true && !prepared.nfacct)
    machine.warn('--nfacct: nfacct(8) does not work on this machine; not counting packets')

  const sent = createSentInputs(machine.now)
  const iptables = opened.map((one) => sent.remembering(withProgress(one, machine)))
  const { variant } = first.capabilities
  const backend = createIptablesBackend({
    config,
    iptables,
    witness: variant === 'nft' ? witness : undefined,
    lastSync: options.lastSync,
    build: options.build,
    nfacct: prepared.nfacct && choices['nfacct'] !== false,
    tcpBeLiberal: prepared.tcpBeLiberal,
    interfaceAddresses: machine.interfaceAddresses,
    unheldExternalIPs: machine.unheldExternalIPs,
    conntrack: options.syncHook?.(families),
    onFamilySync: options.onFamilySync,
    onLeft:
      onLeft &&
      ((left) =>
        onLeft(left.map(({ rule, ...reference }) => ({ ...reference, line: `-A ${reference.from} ${rule}` })))),
  })
  let looksForIpvs = options.dryRun !== true
  return {
    backend: {
      ...backend,
      // Services are served by rules by now, and no rule matches the ipsets any more.
      sync: async (request, signal) => {
        const result = await backend.sync(request, signal)
        if (looksForIpvs) await leaveIpvsMode(own.run, machine)
        looksForIpvs = false
        return result
      },
      dryRun: async (state) => {
        const restores = await backend.dryRun(state)
        return restores.map(({ family, lines }) => ({ family, command: restoreCommand(family, variant), lines }))
      },
    },
    families,
    tool: toolOf(first),
    description: `${toolOf(first).name}${before === undefined ? describeChoice(first) : ' (as before on this boot)'}`,
    skipped,
    lastSent: sent,
    hearsEveryChange: variant === 'nft',
    watchChanges: ({ signal, intervalMs, onChange, onError, onListening }: WatchChangesOptions) =>
      watchChanges({
        signal,
        // kube-proxy's own, so that an audit takes it for normal.
        canary: { iptables, chain: CHAINS.canary, intervalMs },
        monitor: variant === 'nft' ? { isOwn: (generation) => witness.heard(generation, own) } : undefined,
        onChange: (change) => {
          if (change.type === 'changes-unseen') witness.missed()
          onChange(change.type === 'generation' ? { pid: change.pid, command: change.command } : undefined)
        },
        onError,
        onListening: (listening) => {
          witness.listens(listening)
          onListening(listening.type === 'deaf' ? listening : { type: 'listening' })
        },
      }),
  }
}

/** Where kube-proxy ran in ipvs mode before, what that left besides rules would still take packets: it is removed. */
async function leaveIpvsMode(run: Run, { signal, warn }: Machine): Promise<void> {
  try {
    if (!(await hasIpvsDevice({ run, signal }))) return
    const { removed, left } = await removeIpvsLeftovers({ run, signal, virtualServers: 'of-its-addresses' })
    if (removed.length > 0) warn(`kube-proxy ran in ipvs mode here; removed ${removed.join(', ')}`)
    for (const what of left) warn(`kube-proxy ran in ipvs mode here; not removed: ${what}`)
  } catch (error) {
    warn(`what ipvs mode left could not be looked for: ${messageOf(error)}; run pointsman cleanup if it ran here`)
  }
}

const restoreCommand = (family: Iptables['family'], variant: Variant): string =>
  `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}-restore --noflush --counters`

function variantOf({ iptablesVariant: variant = 'auto' }: DataplaneChoices): 'auto' | Variant {
  if (variant === 'auto' || variant === 'nft' || variant === 'legacy') return variant
  throw new TypeError(`iptablesVariant must be auto, nft or legacy, and is ${String(variant)}`)
}

/** What the rules rely on, set without opening any tables: warnings. */
export async function prepareMachine(
  { config, families }: Pick<OpenOptions, 'config' | 'families'>,
  { signal }: Pick<Machine, 'signal'>,
): Promise<readonly string[]> {
  return (await prepareNode({ run: runProcess, config, families, signal })).warnings
}

/** Removes the proxy's rules from each family and variant that is installed, or plans to. Fails as `openInstalled`. */
export async function cleanUp(
  { choices, dryRun }: { readonly choices: DataplaneChoices; readonly dryRun: boolean },
  machine: Machine,
): Promise<readonly CleanedFamily[]> {
  const cleaned: CleanedFamily[] = []
  let unsupported: unknown
  for (const iptables of await openInstalled(variantOf(choices), machine)) {
    machine.signal.throwIfAborted()
    const backend = createIptablesBackend({ config: DEFAULT_PROXY_CONFIG, iptables: [withProgress(iptables, machine)] })
    try {
      const plans = await backend.planCleanup()
      if (!dryRun) await backend.cleanup()
      const tool = toolOf(iptables)
      for (const { family, lines, removedChains, removedRules, left } of plans)
        cleaned.push({ family, tool, lines, removedChains, removedRules, left })
    } catch (error) {
      // A variant or family that this kernel lacks has nothing to remove.
      if (!(error instanceof IptablesError) || error.code !== 'NO_KERNEL_SUPPORT') throw error
      unsupported = error
    }
  }
  if (cleaned.length === 0 && unsupported !== undefined) throw unsupported
  return cleaned
}

/** The line that iptables refused between its neighbours, and what it said beyond its first line. */
export function failureLines(error: unknown): readonly string[] {
  const failure = error instanceof Error && !(error instanceof IptablesError) ? error.cause : error
  if (!(failure instanceof IptablesError) || failure.restore === undefined) return []
  const { line, neighbours } = failure.restore
  const around = [...neighbours, line]
    .toSorted((one, other) => one.number - other.number)
    .map(({ number, text }) => `  ${number === line.number ? '>' : ' '} ${number}  ${text}`)
  // The first is in the message.
  const [, ...words] = failure.stderr.split('\n').filter((text) => text.trim() !== '')
  return [...around, ...words.slice(0, MAX_WORDS).map((text) => `  ${text.trim()}`)]
}

const MAX_WORDS = 5

/**
 * Runs what only looks. A command that would change something is counted as done, unless its program is lacking, and
 * named in `skipped`, for a person.
 */
function dryRunner(run: Run): { readonly run: Run; readonly skipped: readonly string[] } {
  const skipped: string[] = []
  return {
    skipped,
    run: async (request) => {
      const [program, verb] = request.argv
      const isChange = program === 'tee' || (program === 'nfacct' && verb === 'add')
      if (!isChange) return run(request)
      // It fails where there is no nfacct(8), and where the kernel does not know it, as adding would.
      if (program === 'nfacct') {
        const look = await run({ ...request, argv: ['nfacct', 'list'] })
        if (look.exitCode !== 0) return look
      }
      skipped.push(program === 'tee' ? `write 1 into ${verb ?? ''}` : `run ${request.argv.join(' ')}`)
      return { argv: request.argv, exitCode: 0, signal: null, stdout: '', stderr: '' }
    },
  }
}

/**
 * The last restores of each family: the last that succeeded, and the last that failed. Of a restore what it was made from is
 * kept, and its text made when it is asked for.
 */
function createSentInputs(now: () => number): SentInputs & { readonly remembering: (iptables: Iptables) => Iptables } {
  const last = { succeeded: new Map<string, Sent>(), failed: new Map<string, Sent>() }
  return {
    remembering: (iptables) => ({
      ...iptables,
      async restore(request, limits) {
        const sent = { family: iptables.family, at: now(), request }
        try {
          await iptables.restore(request, limits)
          last.succeeded.set(iptables.family, sent)
        } catch (error) {
          last.failed.set(iptables.family, { ...sent, error: messageOf(error) })
          throw error
        }
      },
    }),
    succeeded: () => [...last.succeeded.values()].map(shown),
    failed: () => [...last.failed.values()].map(shown),
  }
}

interface Sent {
  readonly family: Iptables['family']
  readonly at: number
  readonly request: Parameters<Iptables['restore']>[0]
  readonly error?: string
}

const shown = ({ request, ...sent }: Sent): SentInput => ({ ...sent, lines: linesOf(request) })

function linesOf(request: Sent['request']): readonly string[] {
  if ('text' in request) return request.text.split('\n')
  const lines = typeof request.lines === 'function' ? request.lines() : request.lines
  return Symbol.iterator in lines ? [...lines] : []
}

/** The tables of each family, and what the variant of iptables that the node does not use has besides. */
export async function openRules(
  { families, choices, leaveOut }: Pick<OpenOptions, 'families' | 'choices' | 'leaveOut'>,
  machine: Machine,
): Promise<MachineRules> {
  const opened = await openIptables({ variant: variantOf(choices), families, leaveOut }, machine)
  const [first] = opened
  if (first === undefined) throw new Error('no family was asked for')
  const { signal } = machine
  const others = await Promise.all(opened.map((iptables) => otherOf(iptables, signal)))
  const tablesOf = (iptables: Iptables): Promise<readonly SavedTable[]> =>
    readTables(withProgress(iptables, machine).saveLines({}, { signal }))
  return {
    tool: toolOf(first),
    capabilities: { randomFully: first.capabilities.randomFully },
    async read() {
      const read: FamilyRules[] = []
      for (const [at, iptables] of opened.entries()) {
        const { family, capabilities } = iptables
        const { variant, version } = capabilities
        const tables = await tablesOf(iptables)
        const other = others[at] && (await otherTables(others[at], tablesOf))
        read.push({ family, rules: new LoadedTables(tables, { family, variant, version, other }) })
      }
      return read
    },
    ...(first.capabilities.variant === 'nft' && {
      watchChanges: ({ onChange, onListening, ...watch }) =>
        watchChanges({
          ...watch,
          monitor: { isOwn: () => false },
          onChange: (change) =>
            onChange(change.type === 'generation' ? { pid: change.pid, command: change.command } : undefined),
          onListening: (listening) => onListening(listening.type === 'deaf' ? listening : { type: 'listening' }),
        }),
    }),
  }
}

/** The same family by the other variant; undefined where that is not installed. */
async function otherOf({ family, capabilities }: Iptables, signal: AbortSignal): Promise<Iptables | undefined> {
  const variant = capabilities.variant === 'nft' ? 'legacy' : 'nft'
  return unlessAbsent(createIptables({ family, variant }, { signal }))
}

async function otherTables(
  iptables: Iptables,
  tablesOf: (iptables: Iptables) => Promise<readonly SavedTable[]>,
): Promise<OtherTables | undefined> {
  const tables = await unlessAbsent(tablesOf(iptables))
  return tables && { variant: iptables.capabilities.variant, tables }
}

/** Undefined where a variant is not installed, or this kernel lacks it: then it has no rules. */
async function unlessAbsent<T>(attempt: Promise<T>): Promise<T | undefined> {
  try {
    return await attempt
  } catch (error) {
    if (error instanceof IptablesError && (error.code === 'NOT_FOUND' || error.code === 'NO_KERNEL_SUPPORT'))
      return undefined
    throw error
  }
}
