import type { ModeLeftovers } from '@pointsman/core'
import { IptablesError, type Run, type RunResult } from 'node-iptables'

/** The interface that kube-proxy's ipvs mode gives every Service's addresses to, so that the node takes their packets. */
const DEVICE = 'kube-ipvs0'

/** The sets that its rules match, of IPv4; those of IPv6 have KUBE-6- in place of KUBE-. */
const SETS = [
  'KUBE-LOOP-BACK',
  'KUBE-CLUSTER-IP',
  'KUBE-EXTERNAL-IP',
  'KUBE-EXTERNAL-IP-LOCAL',
  'KUBE-LOAD-BALANCER',
  'KUBE-LOAD-BALANCER-FW',
  'KUBE-LOAD-BALANCER-LOCAL',
  'KUBE-LOAD-BALANCER-SOURCE-IP',
  'KUBE-LOAD-BALANCER-SOURCE-CIDR',
  'KUBE-NODE-PORT-TCP',
  'KUBE-NODE-PORT-LOCAL-TCP',
  'KUBE-NODE-PORT-UDP',
  'KUBE-NODE-PORT-LOCAL-UDP',
  'KUBE-NODE-PORT-SCTP-HASH',
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH',
  'KUBE-HEALTH-CHECK-NODE-PORT',
  'KUBE-IPVS-IPS',
]
const NAMES: ReadonlySet<string> = new Set(SETS.flatMap((set) => [set, set.replace('KUBE-', 'KUBE-6-')]))

interface CleaningOptions {
  readonly run: Run
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** Whether the ipvs mode has run here, and its interface still takes the packets to Services. */
export const hasIpvsDevice = async (options: CleaningOptions): Promise<boolean> =>
  (await tried(['ip', '-o', 'link', 'show', 'dev', DEVICE], options))?.exitCode === 0

/**
 * Removes what kube-proxy's ipvs mode leaves besides rules, as `kube-proxy --cleanup` does: the virtual servers, all of them as there,
 * kube-ipvs0 and the ipsets. Its rules match the sets, so that they have to be gone. What cannot be removed is named, with why.
 */
export async function removeIpvsLeftovers(options: CleaningOptions): Promise<ModeLeftovers> {
  const removed: string[] = []
  const left: string[] = []
  const remove = async (what: string, argv: readonly string[]): Promise<void> => {
    const result = options.dryRun === true ? undefined : await tried(argv, options)
    if (options.dryRun === true || result?.exitCode === 0) removed.push(what)
    else
      left.push(
        `${what}: ${result === undefined ? `${argv[0] ?? ''} is not installed` : (firstLine(result) ?? 'it failed')}`,
      )
  }

  const hasDevice = await hasIpvsDevice(options)
  const servers = await tried(['ipvsadm', '-S', '-n'], options)
  if (servers === undefined && hasDevice)
    left.push('virtual servers of IPVS, if there are any: ipvsadm is not installed (ipvsadm -C removes them)')
  // Without the interface they may be another program's.
  if (hasDevice && servers?.exitCode === 0 && servers.stdout.trim() !== '')
    await remove('virtual servers of IPVS', ['ipvsadm', '-C'])
  if (hasDevice) await remove(`the interface ${DEVICE}`, ['ip', 'link', 'delete', 'dev', DEVICE])

  const sets = await tried(['ipset', 'list', '-n'], options)
  for (const name of (sets?.exitCode === 0 ? sets.stdout : '').split('\n'))
    if (NAMES.has(name)) await remove(`ipset ${name}`, ['ipset', 'destroy', name])
  return { removed, left }
}

const firstLine = ({ stderr }: RunResult): string | undefined =>
  stderr
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '')

/** Undefined: the program is not installed. */
async function tried(argv: readonly string[], { run, signal }: CleaningOptions): Promise<RunResult | undefined> {
  try {
    return await run({ argv, signal })
  } catch (error) {
    if (error instanceof IptablesError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}
