import type { AgentConfig, ConntrackConfig } from '@pointsman/core'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { type Context, dataplaneOf, warn } from '../context.js'
import { CliError } from '../errors.js'
import { machineOf } from '../machine/open-machine.js'

/** The files by which a machine is set. Paths are as on a Linux machine; errors are the file system's. */
export interface MachineFiles {
  readonly readFile: (path: string) => Promise<string>
  readonly writeFile: (path: string, text: string) => Promise<void>
  /** CPUs, where /sys does not tell. */
  readonly cpus: number
}

interface MachineSettingsResult {
  /** What was written, for the text log. What was right already is left alone, so that no privilege is needed for it. */
  readonly changes: readonly MachineChange[]
  /** For a person: what could not be set, what follows, and what to do. */
  readonly warnings: readonly string[]
}

interface MachineChange {
  readonly path: string
  readonly from: string
  readonly to: string
}

/**
 * Sets what kube-proxy sets at start (setupConntrack and OOMAdjuster of 1.36): how many connections the kernel tracks and
 * for how long, and how late this process is killed for lack of memory. It has to come before `prepareNode`, which reads
 * `nf_conntrack_tcp_be_liberal`, and sets `route_localnet`.
 *
 * CliError CANNOT where a limit of conntrack is lower than what is configured, or a timeout another, and may not be
 * written: kube-proxy ends as well. Whatever costs speed alone, or waits for a module of the kernel, is a warning.
 */
export async function applyMachineSettings(
  config: Pick<AgentConfig, 'conntrack' | 'oomScoreAdj'>,
  files: MachineFiles,
): Promise<MachineSettingsResult> {
  const changes: MachineChange[] = []
  const warnings: string[] = []
  const set = async ({ path, wanted, suits, otherwise }: MachineSetting): Promise<void> => {
    try {
      const found = (await files.readFile(path)).trim()
      if (suits(Number(found), wanted)) return
      await files.writeFile(path, `${wanted}`)
      changes.push({ path, from: found, to: `${wanted}` })
    } catch (error) {
      const code = codeOf(error)
      if (otherwise === undefined && code !== 'ENOENT') throw cannot(path, wanted, error)
      const what = code === 'ENOENT' ? MODULE_MISSING : otherwise
      warnings.push(`${path} cannot be set to ${wanted} (${code}): ${what}`)
    }
  }
  for (const setting of conntrackSettings(config.conntrack, await countCpus(files))) await set(setting)
  await set({ path: OOM_SCORE_ADJ, wanted: config.oomScoreAdj, suits: isEqual, otherwise: OOM_ADVICE })
  return { changes, warnings }
}

/** `nf_conntrack_max` as kube-proxy 1.36 wants it; 0: as it is. */
export function conntrackMax({ maxPerCore, min }: Pick<ConntrackConfig, 'maxPerCore' | 'min'>, cpus: number): number {
  return maxPerCore === 0 ? 0 : Math.min(MOST_TRACKED, Math.max(min, maxPerCore * cpus))
}

interface MachineSetting {
  readonly path: string
  readonly wanted: number
  /** Whether what is found may stay. */
  readonly suits: (found: number, wanted: number) => boolean
  /** What follows where it cannot be set; absent: the process cannot go on. */
  readonly otherwise?: string
}

function conntrackSettings(conntrack: ConntrackConfig, cpus: number): readonly MachineSetting[] {
  const max = conntrackMax(conntrack, cpus)
  const timeout = (name: string, ms: number): readonly MachineSetting[] => {
    const wanted = Math.trunc(ms / 1000)
    return wanted > 0 ? [{ path: `${NETFILTER}/${name}`, wanted, suits: isEqual }] : []
  }
  return [
    ...(max > 0
      ? [
          // An administrator's larger table stays.
          { path: `${NETFILTER}/nf_conntrack_max`, wanted: max, suits: isAtLeast },
          { path: HASHSIZE, wanted: Math.trunc(max / 4), suits: isAtLeast, otherwise: HASHSIZE_ADVICE },
        ]
      : []),
    ...timeout('nf_conntrack_tcp_timeout_established', conntrack.tcpEstablishedTimeoutMs),
    ...timeout('nf_conntrack_tcp_timeout_close_wait', conntrack.tcpCloseWaitTimeoutMs),
    ...(conntrack.tcpBeLiberal
      ? [{ path: `${NETFILTER}/nf_conntrack_tcp_be_liberal`, wanted: 1, suits: isEqual }]
      : []),
    ...timeout('nf_conntrack_udp_timeout', conntrack.udpTimeoutMs),
    ...timeout('nf_conntrack_udp_timeout_stream', conntrack.udpStreamTimeoutMs),
  ]
}

const NETFILTER = '/proc/sys/net/netfilter'
const HASHSIZE = '/sys/module/nf_conntrack/parameters/hashsize'
const OOM_SCORE_ADJ = '/proc/self/oom_score_adj'
const MOST_TRACKED = 1_048_576

const MODULE_MISSING = 'the nf_conntrack module is not loaded: run modprobe nf_conntrack, then restart'
const HASHSIZE_ADVICE =
  'conntrack lookups are slower with many connections; if /sys is read-only, restart the container runtime or set it on the node'
const OOM_ADVICE = 'the OOM killer may kill this process before others: requires CAP_SYS_RESOURCE'

const isEqual = (found: number, wanted: number): boolean => found === wanted
const isAtLeast = (found: number, wanted: number): boolean => found >= wanted

const cannot = (path: string, wanted: number, cause: unknown): CliError =>
  new CliError(
    'CANNOT',
    `${path} cannot be set to ${wanted} (${codeOf(cause)}): run \`pointsman run --init-only\` with full privileges first, set it on the node, or leave it unchanged with conntrack.* = 0`,
    { cause },
  )

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error
    ? String(error.code)
    : error instanceof Error
      ? error.message
      : String(error)

/**
 * The CPUs of the machine that are online, not only those that this process may use: conntrack's table is the machine's
 * (kubernetes#99225).
 */
async function countCpus({ readFile, cpus }: Pick<MachineFiles, 'readFile' | 'cpus'>): Promise<number> {
  try {
    return countIn(await readFile('/sys/devices/system/cpu/online')) ?? cpus
  } catch {
    return cpus
  }
}

/** Of a list such as `0-3,8,10-11`; undefined where it is none. */
function countIn(list: string): number | undefined {
  let count = 0
  for (const range of list.trim().split(',')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
    if (first === undefined || Number(last) < Number(first)) return undefined
    count += Number(last) - Number(first) + 1
  }
  return count
}

/** This machine, or what looks like one under another root. */
export const machineFiles = (root = ''): MachineFiles => ({
  readFile: async (path) => readFile(`${root}${path}`, 'utf8'),
  writeFile: async (path, text) => writeFile(`${root}${path}`, text),
  cpus: availableParallelism(),
})

/** --init-only: sets what takes more than CAP_NET_ADMIN, so that the agent itself can do with less, and says what it set. */
export async function initializeMachine(config: AgentConfig, context: Context): Promise<void> {
  const { changes, warnings } = await applyMachineSettings(config, machineFiles())
  const { proxy } = config
  const prepared = await dataplaneOf(context, proxy).prepare(
    { config: proxy, families: proxy.families },
    machineOf(context),
  )
  for (const warning of [...warnings, ...prepared]) warn(context, warning)
  for (const { path, from, to } of changes) context.stdout.print(`${path}: ${from} -> ${to}`)
}
