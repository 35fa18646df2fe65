import type { DataplaneMetrics } from '@pointsman/core'
import { type Run, runProcess } from 'node-iptables'
import { INVALID_DROPPED, LOCALHOST_ACCEPTED } from '../ruleset/base-rules.js'

/** kube-proxy has no rules in mangle but for its canary, and reports these two alone. */
const TABLES = ['filter', 'nat']

/** kube-proxy's metrics of its iptables mode. */
export const IPTABLES_METRICS: DataplaneMetrics = {
  syncs: [
    {
      type: 'counter',
      name: 'kubeproxy_sync_proxy_rules_iptables_restore_failures_total',
      help: 'Restores that failed.',
      value: ({ failures }) => failures,
    },
    {
      type: 'counter',
      name: 'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total',
      help: 'Restores of only what had changed that failed.',
      value: ({ partialFailures, full, failures }) => partialFailures ?? (full ? 0 : failures),
    },
    {
      type: 'gauge',
      name: 'kubeproxy_sync_proxy_rules_iptables_total',
      help: 'Rules of ours in force after the last sync.',
      tables: TABLES,
      value: ({ tables }, table) => tables[table]?.rules ?? 0,
    },
    {
      type: 'gauge',
      name: 'kubeproxy_sync_proxy_rules_iptables_last',
      help: 'Rules that the last sync wrote.',
      tables: TABLES,
      value: ({ tables }, table) => tables[table]?.written ?? 0,
    },
  ],
  packets: [
    {
      name: 'kubeproxy_iptables_ct_state_invalid_dropped_packets_total',
      help: 'Packets of connections that conntrack calls invalid, which were dropped.',
      key: INVALID_DROPPED,
    },
    {
      name: 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total',
      help: 'Packets to node ports on loopback addresses that were accepted.',
      key: LOCALHOST_ACCEPTED,
    },
  ],
  readPackets: () => readNfacct(runProcess),
}

/** Packets that the kernel's accounting objects have counted, by object name, as nfacct(8) lists them; none without it. */
async function readNfacct(run: Run): Promise<Readonly<Record<string, number>>> {
  const { exitCode, stdout } = await run({ argv: ['nfacct', 'list'], timeoutMs: TIMEOUT_MS })
  return exitCode === 0 ? parseNfacct(stdout) : {}
}

/** `{ pkts = 00000000000000000007, bytes = 00000000000000000420 } = ct_state_invalid_dropped_pkts;` */
export function parseNfacct(text: string): Readonly<Record<string, number>> {
  const counters = text.matchAll(/\{ pkts = (\d+), bytes = \d+[^}]*\} = ([^;\s]+);/g)
  return Object.fromEntries([...counters].map(([, packets = '', name = '']) => [name, Number(packets)]))
}

const TIMEOUT_MS = 5000
