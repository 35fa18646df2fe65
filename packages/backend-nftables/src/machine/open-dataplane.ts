import {
  messageOf,
  type CleanedFamily,
  type FamilyRules,
  type IpFamily,
  type Machine,
  type MachineRules,
  type OpenDataplane,
  type OpenOptions,
  type RuleTool,
  type SentInput,
  type WatchChangesOptions,
} from '@pointsman/core'
import { createWitness, hasNftTable, ownProcesses, runProcess, watchChanges } from 'node-iptables'
import { openNetlink } from '../adapter/netlink.js'
import { NftError, openNft, type Nft } from '../adapter/nft.js'
import { createNftablesBackend } from '../adapter/nftables-backend.js'
import { loadedFrom } from '../loaded-table.js'
import { LAYOUTS, layoutOf } from '../plan/rule-plan.js'
import { linesOf, type Transaction } from '../plan/transaction.js'
import { readTable } from '../table/read-listing.js'
import { EMPTY_TABLE, sizeOfTable } from '../table/table.js'
import { deleteTable } from '../table/text.js'

/** Finds nft(8), and gives the backend that writes through it. NftError where there is none; whatever `requireNetAdmin` throws. */
export async function openDataplane(options: OpenOptions, machine: Machine): Promise<OpenDataplane> {
  const { config, timeoutMs } = options
  machine.requireNetAdmin()
  const own = ownProcesses({ run: runProcess, folder: options.folder })
  const witness = createWitness(options.bootId)
  const opened = await openNft({ run: own.run, timeoutMs }, machine)
  const families = await familiesHere(opened, options, machine)
  const sent = createSentTransactions(machine.now)
  const nft = sent.remembering(opened)
  const netlink = await openNetlink({ onOwn: witness.making, onSent: sent.onSent })
  const tool = toolOf(nft)
  return {
    backend: createNftablesBackend({
      config,
      nft,
      netlink,
      witness,
      lastSync: options.lastSync,
      build: options.build,
      families,
      planOptions: () => ({ interfaceAddresses: machine.interfaceAddresses() }),
      conntrack: options.syncHook?.(families),
      onFamilySync: options.onFamilySync,
    }),
    families,
    tool,
    description: tool.name,
    skipped: [],
    lastSent: sent,
    hearsEveryChange: true,
    watchChanges: ({ signal, onChange, onError, onListening }: WatchChangesOptions) =>
      watchChanges({
        signal,
        monitor: { isOwn: (generation) => witness.heard(generation, own) },
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

const watchOf = ({ onChange, onListening }: Pick<WatchChangesOptions, 'onChange' | 'onListening'>) =>
  ({
    onChange: (change) =>
      onChange(change.type === 'generation' ? { pid: change.pid, command: change.command } : undefined),
    onListening: (listening) => onListening(listening.type === 'deaf' ? listening : { type: 'listening' }),
  }) satisfies Partial<Parameters<typeof watchChanges>[0]>

const toolOf = ({ version }: Nft): RuleTool => ({ name: `nft ${version}`, fields: { nft: version } })

/** Those of the families that the kernel has, where a family may be left out. */
async function familiesHere(
  nft: Nft,
  { families, config, leaveOut = false }: OpenOptions,
  { signal, warn }: Machine,
): Promise<readonly IpFamily[]> {
  if (!leaveOut) return families
  const layout = layoutOf(config)
  const found: IpFamily[] = []
  for (const family of families) {
    try {
      await nft.list(layout.table(family), { signal })
      found.push(family)
    } catch (error) {
      if (!(error instanceof NftError) || error.code !== 'NFT_NO_KERNEL_SUPPORT' || families.length === 1) throw error
      warn(`${family} is left out: ${messageOf(error)}`)
    }
  }
  return found
}

/** The last transactions of each family: the last that succeeded, and the last that failed. */
function createSentTransactions(now: () => number): OpenDataplane['lastSent'] & {
  readonly remembering: (nft: Nft) => Nft
  /** Of a transaction that netlink committed: its text is made when it is asked for. */
  readonly onSent: (transaction: Transaction) => void
} {
  const last = { succeeded: new Map<IpFamily, Sent>(), failed: new Map<IpFamily, Sent>() }
  return {
    onSent(transaction) {
      const family: IpFamily = transaction.target.table.family === 'ip6' ? 'IPv6' : 'IPv4'
      last.succeeded.set(family, { family, at: now(), lines: () => linesOf(transaction) })
    },
    remembering: (nft) => ({
      ...nft,
      async load(lines, limits) {
        const family: IpFamily = lines[0]?.includes(' ip6 ') === true ? 'IPv6' : 'IPv4'
        const sent = { family, at: now(), lines: () => lines }
        try {
          const bytes = await nft.load(lines, limits)
          last.succeeded.set(family, sent)
          return bytes
        } catch (error) {
          last.failed.set(family, { ...sent, error: messageOf(error) })
          throw error
        }
      },
    }),
    succeeded: () => [...last.succeeded.values()].map(shown),
    failed: () => [...last.failed.values()].map(shown),
  }
}

type Sent = Omit<SentInput, 'lines'> & { readonly lines: () => readonly string[] }

const shown = (sent: Sent): SentInput => ({ ...sent, lines: sent.lines() })

/** The tables of each family, to be read and left as they are. */
export async function openRules({ families }: Pick<OpenOptions, 'families'>, machine: Machine): Promise<MachineRules> {
  machine.requireNetAdmin()
  const nft = await openNft({ run: runProcess }, machine)
  const [layout] = LAYOUTS
  return {
    tool: toolOf(nft),
    capabilities: {},
    async read() {
      const objects = await nft.listAll(machine)
      return families.map((family): FamilyRules => ({
        family,
        rules: loadedFrom(objects, { table: layout.table(family), family }),
      }))
    },
    watchChanges: ({ onChange, onListening, ...watch }) =>
      watchChanges({ ...watch, ...watchOf({ onChange, onListening }), monitor: { isOwn: () => false } }),
  }
}

/** Removes the proxy's table of each family, whichever proxy of this mode wrote it, or says what it would remove. */
export async function cleanUp(
  { dryRun }: { readonly dryRun: boolean },
  machine: Machine,
): Promise<readonly CleanedFamily[]> {
  machine.requireNetAdmin()
  const nft = await openNft({ run: runProcess }, machine)
  const [layout] = LAYOUTS
  const cleaned: CleanedFamily[] = []
  for (const family of ['IPv4', 'IPv6'] as const) {
    machine.signal.throwIfAborted()
    const table = layout.table(family)
    // nft(8) reads every rule of the family, those of iptables-nft included, to say that a table is not there.
    const isAbsent = (await hasNftTable({ family: table.family, table: table.name })) === false
    const objects = isAbsent ? undefined : await nft.list(table, machine)
    const found = objects && readTable(objects, table)
    const lines = found === undefined ? [] : [deleteTable(table)]
    if (lines.length > 0 && !dryRun) await nft.load(lines, machine)
    cleaned.push({
      family,
      tool: toolOf(nft),
      lines,
      removedChains: [...(found?.chains.keys() ?? [])].map((chain) => ({ table: table.name, chain })),
      removedRules: sizeOfTable(found ?? EMPTY_TABLE),
      left: [],
    })
  }
  return cleaned
}

/** The line that nft refused, and what it said beyond its first line. */
export function failureLines(error: unknown): readonly string[] {
  const failure = error instanceof Error && !(error instanceof NftError) ? error.cause : error
  if (!(failure instanceof NftError) || failure.line === undefined) return []
  const [, ...words] = failure.stderr.split('\n').filter((text) => text.trim() !== '')
  return [
    `  > ${failure.line.number}  ${failure.line.text}`,
    ...words.slice(0, MAX_WORDS).map((text) => `  ${text.trim()}`),
  ]
}

const MAX_WORDS = 5
