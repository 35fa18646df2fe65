import { Counter, type Registry } from 'prom-client'

/** Packets that the kernel's accounting objects have counted, by object name; one that does not exist is left out. */
export type ReadCounters = () => Promise<Readonly<Record<string, number>>>

/**
 * Packets that two rules met, read from the kernel when somebody asks. What cannot be read is not told, as kube-proxy has it.
 */
export function registerNfacctMetrics(registry: Registry, readCounters: ReadCounters): void {
  let reading: Promise<Readonly<Record<string, number>>> | undefined
  /** One reading for all that is asked for at a time: it costs a process. */
  const readOnce = async (): Promise<Readonly<Record<string, number>>> => {
    try {
      return await (reading ??= readCounters())
    } catch {
      return {}
    } finally {
      reading = undefined
    }
  }

  for (const { name, help, object } of COUNTERS) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect: async () => {
        const packets = (await readOnce())[object]
        counter.reset()
        if (packets === undefined) counter.remove({})
        else counter.inc(packets)
      },
    })
  }
}

const COUNTERS = [
  {
    name: 'kubeproxy_iptables_ct_state_invalid_dropped_packets_total',
    help: 'Packets of connections that conntrack calls invalid, which were dropped.',
    object: 'ct_state_invalid_dropped_pkts',
  },
  {
    name: 'kubeproxy_iptables_localhost_nodeports_accepted_packets_total',
    help: 'Packets to node ports on loopback addresses that were accepted.',
    object: 'localhost_nps_accepted_pkts',
  },
] as const
