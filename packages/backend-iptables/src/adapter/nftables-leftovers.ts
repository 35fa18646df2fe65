import type { IpFamily } from '@pointsman/core'
import { IptablesError, type Run } from 'node-iptables'

export interface NftablesOptions {
  readonly run: Run
  /** Words before every command, such as `['ip', 'netns', 'exec', 'blue']`. */
  readonly prefix?: readonly string[] | undefined
  readonly families: readonly IpFamily[]
  readonly signal?: AbortSignal | undefined
}

/**
 * Removes the tables of kube-proxy's nftables mode, whose rules would go on taking packets beside ours; gives those that
 * were there, as nft names them. None where nft(8) is not installed, or the kernel has no nf_tables.
 */
export async function removeNftablesLeftovers(options: NftablesOptions): Promise<readonly string[]> {
  const { run, prefix = [], families, signal } = options
  const attempt = async (argv: readonly string[]): Promise<string> => {
    try {
      const { exitCode, stdout } = await run({ argv: [...prefix, ...argv], signal, timeoutMs: TIMEOUT_MS })
      return exitCode === 0 ? stdout : ''
    } catch (error) {
      if (!(error instanceof IptablesError) || error.code === 'ABORTED') throw error
      return ''
    }
  }
  // Asked for first: a kernel module is not to be loaded for nothing.
  const listed = (await attempt(['nft', 'list', 'tables'])).split('\n')
  const found = families.map((family) => TABLES[family]).filter((table) => listed.includes(`table ${table}`))
  for (const table of found) await attempt(['nft', 'delete', 'table', ...table.split(' ')])
  return found
}

const TABLES: { readonly [family in IpFamily]: string } = { IPv4: 'ip kube-proxy', IPv6: 'ip6 kube-proxy' }
const TIMEOUT_MS = 10_000
