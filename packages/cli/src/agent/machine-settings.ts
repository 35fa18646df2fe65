import type { AgentConfig, ConntrackConfig } from '@pointsman/core'
import { CliError } from '../errors.js'
import { countCpus } from './count-cpus.js'

/** The files by which a machine is set. Paths are as on a Linux machine; errors are the file system's. */
export interface MachineFiles {
  readonly readFile: (path: string) => Promise<string>
  readonly writeFile: (path: string, text: string) => Promise<void>
  /** CPUs, where /sys does not tell. */
  readonly cpus: number
}

export interface MachineSettingsResult {
  /** What was written, for the text log. What was right already is left alone, so that no privilege is needed for it. */
  readonly changes: readonly MachineChange[]
  /** For a person: what could not be set, what follows, and what to do. */
  readonly warnings: readonly string[]
}

export interface MachineChange {
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
