import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

/**
 * The addresses that this machine's interfaces bear, loopback's among them: those of ip(8), as kube-proxy sees them, down
 * interfaces included. Where there is no ip(8), those of interfaces that are up and have a carrier.
 */
export async function interfaceAddresses(run: RunIp): Promise<readonly string[]> {
  try {
    const { exitCode, stdout } = await run({ argv: ['ip', '-json', 'address', 'show'], timeoutMs: TIMEOUT_MS })
    if (exitCode === 0) return addressesIn(JSON.parse(stdout) as readonly ShownInterface[])
  } catch (error) {
    // Another ip(8), such as BusyBox's, prints no JSON.
    if (!isFailedRun(error) && !(error instanceof SyntaxError)) throw error
  }
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
}

/** Runs one command. `runProcess` of node-iptables is one. */
type RunIp = (request: {
  readonly argv: readonly string[]
  readonly timeoutMs: number
}) => Promise<{ readonly exitCode: number | null; readonly stdout: string }>

const isFailedRun = (error: unknown): boolean => error instanceof Error && 'code' in error

const TIMEOUT_MS = 10_000

/** What is used of what ip(8) prints. */
interface ShownInterface {
  readonly addr_info?: readonly { readonly local?: string }[]
}

const addressesIn = (interfaces: readonly ShownInterface[]): readonly string[] =>
  interfaces.flatMap(({ addr_info: shown = [] }) => shown.flatMap(({ local }) => local ?? []))

/** Of the machine's present boot. Undefined: this system does not say. */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The kernel's nf_conntrack_tcp_be_liberal, in this network namespace. Undefined: conntrack is not loaded, or it cannot be read. */
export function tcpBeLiberal(): boolean | undefined {
  try {
    return readFileSync('/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal', 'utf8').trim() !== '0'
  } catch {
    return undefined
  }
}
