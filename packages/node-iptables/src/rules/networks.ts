import { isIPv4, isIPv6 } from 'node:net'

/**
 * A network as iptables-save spells it: host bits cleared, always with the prefix length (`10.0.0.1` is `10.0.0.1/32`,
 * `10/8` is `10.0.0.0/8`); a mask of separate bits stays a mask (`10.0.0.1/255.0.255.0`). `any` is the whole family.
 * Undefined: none.
 */
export function networkOf(text: string): { readonly network: string; readonly any: boolean } | undefined {
  // Nearly all are single addresses in the one spelling that IPv4 addresses have.
  if (isIPv4(text)) return { network: `${text}/32`, any: false }
  if (text.endsWith('/32') && isIPv4(text.slice(0, -'/32'.length))) return { network: text, any: false }
  const [address = '', maskText, ...rest] = text.split('/')
  const bytes = bytesOf(address) ?? shortened(address)
  if (bytes === undefined || rest.length > 0) return undefined
  const mask = maskText === undefined ? bytes.map(() => 255) : maskOf(maskText, bytes.length)
  if (mask === undefined) return undefined
  const masked = bytes.map((byte, at) => byte & (mask[at] ?? 0))
  const length = prefixLengthOf(mask)
  return { network: `${spell(masked)}/${length ?? spell(mask)}`, any: length === 0 }
}

/** `10.1` is 10.1.0.0 where iptables reads a network, and not the 10.0.0.1 of inet_aton(3). */
function shortened(address: string): readonly number[] | undefined {
  const whole = `${address}${'.0'.repeat(Math.max(0, 4 - address.split('.').length))}`
  return isIPv4(whole) ? bytesOf(whole) : undefined
}

/** An address as inet_ntop(3) spells it. Undefined: none. */
export function addressOf(text: string): string | undefined {
  const bytes = bytesOf(text)
  return bytes === undefined ? undefined : spell(bytes)
}

function bytesOf(text: string): readonly number[] | undefined {
  if (isIPv4(text)) return text.split('.').map(Number)
  if (!isIPv6(text) || text.includes('%')) return undefined
  const [head = '', tail] = text.split('::')
  const before = groupBytes(head)
  const after = groupBytes(tail ?? '')
  return [...before, ...Array<number>(IPV6_BYTES - before.length - after.length).fill(0), ...after]
}

const IPV6_BYTES = 16

const groupBytes = (text: string): readonly number[] =>
  text === ''
    ? []
    : text.split(':').flatMap((group) => {
        if (group.includes('.')) return group.split('.').map(Number)
        const number = Number.parseInt(group, 16)
        return [number >> 8, number & 255]
      })

function maskOf(text: string, size: number): readonly number[] | undefined {
  if (!/^\d+$/.test(text)) {
    const bytes = bytesOf(text)
    return bytes?.length === size ? bytes : undefined
  }
  const length = Number(text)
  if (length > size * 8) return undefined
  return Array.from({ length: size }, (_, at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, length - at * 8))))
}

/** Undefined: the set bits do not all come first. */
function prefixLengthOf(mask: readonly number[]): number | undefined {
  const bits = mask.map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const length = bits.indexOf('0') === -1 ? bits.length : bits.indexOf('0')
  return bits.slice(length).includes('1') ? undefined : length
}

function spell(bytes: readonly number[]): string {
  if (bytes.length < IPV6_BYTES) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0))
  const { at, length } = longestZeros(groups)
  // inet_ntop writes an IPv4 address that is mapped or compatible with dots.
  if (at === 0 && (length === 6 || (length === 5 && groups[5] === 0xff_ff))) {
    return `::${length === 5 ? 'ffff:' : ''}${bytes.slice(12).join('.')}`
  }
  const hex = groups.map((group) => group.toString(16))
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, at).join(':')}::${hex.slice(at + length).join(':')}`
}

/** The first of the longest runs of zeros. */
function longestZeros(groups: readonly number[]): { readonly at: number; readonly length: number } {
  let best = { at: 0, length: 0 }
  for (let at = 0; at < groups.length; at++) {
    let end = at
    while (end < groups.length && groups[end] === 0) end++
    if (end - at > best.length) best = { at, length: end - at }
  }
  return best
}
