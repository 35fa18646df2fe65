import type { Worlds } from './describe-worlds.js'

/** Makes all nodes drop or accept what no rule of a chain decides about, but for what IPv6 finds its neighbours by. */
export async function setPolicy(
  { all }: Pick<Worlds, 'all'>,
  chain: 'INPUT' | 'FORWARD',
  policy: 'ACCEPT' | 'DROP',
): Promise<void> {
  for (const one of all.flatMap(({ iptables }) => iptables)) {
    const neighbours = one.family === 'IPv6' ? ['-A INPUT -p ipv6-icmp -j ACCEPT'] : []
    const lines = ['*filter', `:${chain} ${policy} [0:0]`, ...neighbours, 'COMMIT']
    await one.restore({ lines, flush: false, counters: false })
  }
}
