import type { Run } from 'node-iptables'

/** Packets that the kernel's accounting objects have counted, by object name, as nfacct(8) lists them; none without it. */
export async function readNfacct(run: Run): Promise<Readonly<Record<string, number>>> {
  const { exitCode, stdout } = await run({ argv: ['nfacct', 'list'], timeoutMs: TIMEOUT_MS })
  return exitCode === 0 ? parseNfacct(stdout) : {}
}

/** `{ pkts = 00000000000000000007, bytes = 00000000000000000420 } = ct_state_invalid_dropped_pkts;` */
export function parseNfacct(text: string): Readonly<Record<string, number>> {
  const counters = text.matchAll(/\{ pkts = (\d+), bytes = \d+[^}]*\} = ([^;\s]+);/g)
  return Object.fromEntries([...counters].map(([, packets = '', name = '']) => [name, Number(packets)]))
}

const TIMEOUT_MS = 5000
