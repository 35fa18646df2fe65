import { parseAddress } from '../model/address.js'

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

/** An address as text that compares like the address does. */
export const addressOrder = (address: string): string =>
  bytesOf(address)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')

/** The address in a network whose host part is that of another address, as NETMAP gives it. */
export function addressAt(network: string, host: string): string {
  const slash = network.indexOf('/')
  const maskAt = maskOf(slash < 0 ? String(network.includes(':') ? 128 : 32) : network.slice(slash + 1))
  const base = bytesOf(slash < 0 ? network : network.slice(0, slash))
  const bytes = bytesOf(host).map((byte, at) => ((base[at] ?? 0) & maskAt(at)) | (byte & ~maskAt(at) & 255))
  const text = network.includes(':')
    ? Array.from({ length: 8 }, (_, at) => (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16)).join(
        ':',
      )
    : bytes.join('.')
  return parseAddress(text)?.text ?? text
}

/** The first and the last address of a network as `addressOrder` has them. Undefined: they are not all in between. */
export function networkOrder(network: string): { readonly low: string; readonly high: string } | undefined {
  const slash = network.indexOf('/')
  const length = network.slice(slash + 1)
  if (!/^\d+$/.test(length)) return undefined
  const bytes = bytesOf(network.slice(0, slash))
  const maskAt = maskOf(length)
  const order = (host: number): string =>
    bytes.map((byte, at) => ((byte & maskAt(at)) | (host & ~maskAt(at) & 255)).toString(16).padStart(2, '0')).join('')
  return { low: order(0), high: order(255) }
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

/** The address whose bits are a number. */
export function addressOf(number: bigint, isIPv6: boolean): string {
  const digits = number.toString(16).padStart(isIPv6 ? 32 : 8, '0')
  const text = isIPv6
    ? (digits.match(/.{4}/g) ?? []).join(':')
    : (digits.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)).join('.')
  return parseAddress(text)?.text ?? text
}
