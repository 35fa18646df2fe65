export type Family = 'ipv4' | 'ipv6'

/** The bytes of an address, in network order. The text is an address: nothing is checked. */
export function addressBytes(text: string): Buffer {
  if (!text.includes(':')) return Buffer.from(text.split('.').map(Number))
  const bytes = Buffer.alloc(16)
  const [head = '', tail] = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, asGroups).split('::')
  const groupsIn = (part: string): readonly number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const [first, last] = [groupsIn(head), groupsIn(tail ?? '')]
  for (const [at, group] of first.entries()) bytes.writeUInt16BE(group, at * 2)
  for (const [at, group] of last.entries()) bytes.writeUInt16BE(group, (8 - last.length + at) * 2)
  return bytes
}

const asGroups = (_: string, ...numbers: readonly string[]): string => {
  const [a = 0, b = 0, c = 0, d = 0] = numbers.map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

/** The address in 4 or 16 bytes, as RFC 5952 spells it. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2))
  // The first of the longest runs of zeros, of two or more.
  let [start, length] = [-1, 1]
  for (let at = 0; at < 8; at++) {
    let end = at
    while (groups[end] === 0) end++
    if (end - at > length) [start, length] = [at, end - at]
  }
  const hex = (some: readonly number[]): string => some.map((group) => group.toString(16)).join(':')
  if (start === -1) return hex(groups)
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}
