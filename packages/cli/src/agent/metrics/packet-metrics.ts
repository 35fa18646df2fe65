import type { DataplaneMetrics } from '@pointsman/core'
import { Counter, type Registry } from 'prom-client'

/**
 * Packets that rules of the data plane met, read from the kernel when somebody asks. What cannot be read is not told, as kube-proxy has it.
 */
export function registerPacketMetrics(
  registry: Registry,
  { packets: metrics, readPackets }: Pick<DataplaneMetrics, 'packets' | 'readPackets'>,
): void {
  let reading: Promise<Readonly<Record<string, number>>> | undefined
  /** One reading for all that is asked for at a time: it costs a process. */
  const readOnce = async (): Promise<Readonly<Record<string, number>>> => {
    try {
      return await (reading ??= readPackets())
    } catch {
      return {}
    } finally {
      reading = undefined
    }
  }

  for (const { name, help, key } of metrics) {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect: async () => {
        const packets = (await readOnce())[key]
        counter.reset()
        if (packets === undefined) counter.remove({})
        else counter.inc(packets)
      },
    })
  }
}
