import { networkInterfaces } from 'node:os'
import { IptablesError, type Run } from 'node-iptables'

/**
 * The addresses that this machine's interfaces bear, loopback's among them: those of ip(8), as kube-proxy sees them, down
 * interfaces included. Where there is no ip(8), those of interfaces that are up and have a carrier.
 */
export async function interfaceAddresses(run: Run): Promise<readonly string[]> {
  try {
    const { exitCode, stdout } = await run({ argv: ['ip', '-json', 'address', 'show'], timeoutMs: TIMEOUT_MS })
    if (exitCode === 0) return addressesIn(JSON.parse(stdout) as readonly ShownInterface[])
  } catch (error) {
    // Another ip(8), such as BusyBox's, prints no JSON.
    if (!(error instanceof IptablesError) && !(error instanceof SyntaxError)) throw error
  }
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
}

const TIMEOUT_MS = 10_000

/** What is used of what ip(8) prints. */
interface ShownInterface {
  readonly addr_info?: readonly { readonly local?: string }[]
}

const addressesIn = (interfaces: readonly ShownInterface[]): readonly string[] =>
  interfaces.flatMap(({ addr_info: shown = [] }) => shown.flatMap(({ local }) => local ?? []))
