import { answersOnLocalhost, type IpFamily, type ProxyConfig, type State } from '@pointsman/core'
import { IptablesError, type Run } from 'node-iptables'
import { NFACCT_COUNTERS } from '../ruleset/base-rules.js'

export interface PrepareNodeOptions {
  readonly run: Run
  /** Words before every command, such as `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix?: readonly string[] | undefined
  readonly config: ProxyConfig
  readonly families: readonly IpFamily[]
  readonly node?: State['node']
  readonly signal?: AbortSignal | undefined
}

/** What the rules may rely on, for RulesetOptions. */
export interface PreparedNode {
  /** The counters exist: nfacct(8) is installed, and the kernel has them. */
  readonly nfacct: boolean
  /** The kernel's own setting. Undefined: it cannot be read. */
  readonly tcpBeLiberal: boolean | undefined
  /** For a person: what could not be done, and what follows from it; and what another proxy had left. */
  readonly warnings: readonly string[]
}

/**
 * Makes on the node what the rules need besides tables: the nfacct objects that kube-proxy's metrics are read from, and
 * `route_localnet`, without which the kernel drops what is sent to a node port on 127.0.0.0/8. Never fails for lack of these: the rules are then made without.
 */
export async function prepareNode(options: PrepareNodeOptions): Promise<PreparedNode> {
  const { run, prefix = [], config, families, node, signal } = options
  const attempt = async (argv: readonly string[], input?: string): Promise<Attempt> => {
    try {
      const { exitCode, stdout, stderr } = await run({
        argv: [...prefix, ...argv],
        signal,
        timeoutMs: TIMEOUT_MS,
        ...(input === undefined ? {} : { input: [input] }),
      })
      return { succeeded: exitCode === 0, stdout, said: stderr.trim() }
    } catch (error) {
      if (!(error instanceof IptablesError) || error.code === 'ABORTED') throw error
      return { succeeded: false, stdout: '', said: error.message }
    }
  }

  const hasCounter = async (name: string): Promise<boolean> => {
    // `add` fails for one that exists, so that it is looked for first.
    if ((await attempt(['nfacct', 'get', name])).succeeded) return true
    return (await attempt(['nfacct', 'add', name])).succeeded
  }
  let nfacct = true
  for (const name of NFACCT_COUNTERS) nfacct = nfacct && (await hasCounter(name))

  const warnings: string[] = []
  if (families.includes('IPv4') && answersOnLocalhost(config, 'IPv4', node)) {
    const now = await attempt(['cat', ROUTE_LOCALNET])
    if (now.stdout.trim() !== '1') {
      const { succeeded, said } = await attempt(['tee', ROUTE_LOCALNET], '1\n')
      if (!succeeded) warnings.push(`${ROUTE_LOCALNET} cannot be set: node ports will not answer on localhost; ${said}`)
    }
  }
  const liberal = (await attempt(['cat', TCP_BE_LIBERAL])).stdout.trim()
  return { nfacct, tcpBeLiberal: liberal === '' ? undefined : liberal !== '0', warnings }
}

interface Attempt {
  readonly succeeded: boolean
  readonly stdout: string
  readonly said: string
}

const TIMEOUT_MS = 10_000
const ROUTE_LOCALNET = '/proc/sys/net/ipv4/conf/all/route_localnet'
const TCP_BE_LIBERAL = '/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal'
