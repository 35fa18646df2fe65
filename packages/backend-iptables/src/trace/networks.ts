/**
 * Whether an address lies in a network as iptables spells it: `10.0.0.0/8`, `fd00::/64`, `10.0.0.1/255.0.255.0`. One of
 * the other family never does.
 */
export function networkContains(network: string, address: string): boolean {
  const slash = network.indexOf('/')
  const base = network.slice(0, slash)
  const length = network.slice(slash + 1)
  // IPv4 has one spelling, and nearly every network of a large save is of one address.
  if (length === '32' && !base.includes(':')) return base === address
  const bytes = bytesOf(address)
  const networkBytes = bytesOf(base)
  if (bytes.length !== networkBytes.length) return false
  const maskAt = maskOf(length)
  return bytes.every((byte, at) => ((byte ^ (networkBytes[at] ?? 0)) & maskAt(at)) === 0)
}

/** Whether it holds one address alone. */
export const isHost = (network: string): boolean =>
  network.includes(':') ? network.endsWith('/128') : network.endsWith('/32')

function maskOf(length: string): (at: number) => number {
  if (!/^\d+$/.test(length)) {
    const mask = bytesOf(length)
    return (at) => mask[at] ?? 0
  }
  const bits = Number(length)
  return (at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - at * 8)))
}

function bytesOf(address: string): readonly number[] {
  if (!address.includes(':')) return address.split('.').map(Number)
  const [head = '', tail] = address.split('::')
  const before = groupBytes(head)
  const after = groupBytes(tail ?? '')
  return [...before, ...Array<number>(16 - before.length - after.length).fill(0), ...after]
}

const groupBytes = (groups: string): readonly number[] =>
  groups === ''
    ? []
    : groups.split(':').flatMap((group) => {
        if (group.includes('.')) return group.split('.').map(Number)
        const number = Number.parseInt(group, 16)
        return [number >> 8, number & 255]
      })
