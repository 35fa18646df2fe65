import { type ModeLeftovers, parseAddress } from '@pointsman/core'
import { IptablesError, type Run, type RunResult } from 'node-iptables'

/** The interface that kube-proxy's ipvs mode gives every Service's addresses to, so that the node takes their packets. */
const DEVICE = 'kube-ipvs0'

/** The sets that its rules match, of IPv4. */
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
/** What the kernel takes as the name of a set. */
const MOST_CHARACTERS = 31
/** Those of IPv6 have KUBE-6- in place of KUBE-, cut off where that is too long. */
const ofIpv6 = (set: string): string => set.replace('KUBE-', 'KUBE-6-').slice(0, MOST_CHARACTERS)

/** The names of the sets, of IPv4 and IPv6. */
export const IPVS_SETS: ReadonlySet<string> = new Set(SETS.flatMap((set) => [set, ofIpv6(set)]))

interface CleaningOptions {
  readonly run: Run
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

interface LeavingOptions extends CleaningOptions {
  /** Virtual servers to remove: all that there are, or those of addresses that kube-ipvs0 has, and none of another program. */
  readonly virtualServers: 'all' | 'of-its-addresses'
}

/** Whether the ipvs mode has run here, and its interface still takes the packets to Services. */
export const hasIpvsDevice = async (options: CleaningOptions): Promise<boolean> =>
  (await tried(['ip', '-o', 'link', 'show', 'dev', DEVICE], options))?.exitCode === 0

/**
 * Removes what kube-proxy's ipvs mode leaves besides rules: virtual servers, kube-ipvs0 and the ipsets. `kube-proxy --cleanup` removes
 * the virtual servers of other programs as well. Rules of the mode match the sets, so that they have to be gone. What cannot be
 * removed is named, with why.
 */
export async function removeIpvsLeftovers(options: LeavingOptions): Promise<ModeLeftovers> {
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
  if (hasDevice && servers?.exitCode === 0 && servers.stdout.trim() !== '') {
    if (options.virtualServers === 'all') await remove('virtual servers of IPVS', ['ipvsadm', '-C'])
    else {
      const { own, others } = await virtualServers(servers.stdout, options)
      const failed: string[] = []
      for (const argv of own) {
        const result = options.dryRun === true ? undefined : await tried(argv, options)
        if (result !== undefined && result.exitCode !== 0) failed.push(firstLine(result) ?? 'it failed')
      }
      if (own.length > failed.length)
        removed.push(`${serversText(own.length - failed.length)} on addresses of ${DEVICE}`)
      if (failed.length > 0) left.push(`${serversText(failed.length)} on addresses of ${DEVICE}: ${failed[0]}`)
      if (others > 0)
        left.push(
          `${serversText(others)} on other addresses: of node ports or of another program (ipvsadm -Ln lists them)`,
        )
    }
  }
  if (hasDevice) await remove(`the interface ${DEVICE}`, ['ip', 'link', 'delete', 'dev', DEVICE])

  const sets = await tried(['ipset', 'list', '-n'], options)
  for (const name of (sets?.exitCode === 0 ? sets.stdout : '').split('\n'))
    if (IPVS_SETS.has(name)) await remove(`ipset ${name}`, ['ipset', 'destroy', name])
  return { removed, left }
}

const serversText = (count: number): string => `${count} virtual ${count === 1 ? 'server' : 'servers'} of IPVS`

/** How to remove those of addresses that its interface has, and how many more there are, by what `ipvsadm -S -n` printed. */
async function virtualServers(
  saved: string,
  options: CleaningOptions,
): Promise<{ readonly own: readonly (readonly string[])[]; readonly others: number }> {
  const shown = await tried(['ip', '-o', 'address', 'show', 'dev', DEVICE], options)
  const addresses = new Set(
    [...(shown?.stdout ?? '').matchAll(/ inet6? ([^ /]+)/g)].map(([, address = '']) => parseAddress(address)?.text),
  )
  const all = [...saved.matchAll(/^-A (-[tuf]|--sctp-service) (\S+)/gm)]
  const own = all.filter(([, , server = '']) => {
    const address = parseAddress(server.replace(/:[^:]*$/, '').replaceAll(/[[\]]/g, ''))
    return address !== undefined && addresses.has(address.text)
  })
  return {
    own: own.map(([, protocol = '', server = '']) => ['ipvsadm', '-D', protocol, server]),
    others: all.length - own.length,
  }
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
