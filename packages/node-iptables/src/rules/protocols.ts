/**
 * A protocol as iptables-save names it; `all` for any. Undefined: neither a number nor a name. Names that iptables does not
 * know by itself it looks up on the machine: they stay as they are.
 */
export function protocolOf(text: string): string | undefined {
  const lower = text.toLowerCase()
  const number = /^\d{1,3}$/.test(lower) ? Number(lower) : NUMBERS.get(lower)
  if (number === undefined) return /^[a-z][a-z\d-]*$/.test(lower) ? lower : undefined
  return number > 255 ? undefined : (NAMES.get(number) ?? String(number))
}

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['all', 0],
  ['icmp', 1],
  ['tcp', 6],
  ['udp', 17],
  ['esp', 50],
  ['ah', 51],
  ['icmpv6', 58],
  ['ipv6-icmp', 58],
  ['sctp', 132],
  ['mh', 135],
  ['ipv6-mh', 135],
  ['mobility-header', 135],
  ['udplite', 136],
])

const NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'all'],
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'ipv6-icmp'],
  [132, 'sctp'],
  [135, 'mobility-header'],
  [136, 'udplite'],
])
