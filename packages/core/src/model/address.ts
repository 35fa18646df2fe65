export type IpFamily = 'IPv4' | 'IPv6'

export interface IpAddress {
  readonly family: IpFamily
  /** Canonical: dotted decimal without leading zeros, or RFC 5952. Equal addresses have equal texts. */
  readonly text: string
}

export interface Cidr {
  readonly family: IpFamily
  /** Canonical, host bits cleared: `10.0.0.0/8`, `fd00::/64`. */
  readonly text: string
  /** Leading bits that count: 0 to 32 or 128. */
  readonly prefix: number
  /** The network as groups of 16 bits, two for IPv4 and eight for IPv6: what `cidrContains` compares. */
  readonly groups: readonly number[]
}

/**
 * Reads an IP address as Kubernetes components do (Go's ParseIPSloppy): leading zeros are decimal, so that `010.0.0.1`
 * is 10.0.0.1; an IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is the IPv4 address. No zones, no surrounding blanks.
 */
export function parseAddress(text: string): IpAddress | undefined {
  const ipv4 = parseIpv4(text)
  if (ipv4 !== undefined) {
    // The text itself where it is canonical: most are, and nothing is allocated for them.
    return { family: 'IPv4', text: isCanonicalIpv4(text) ? text : formatIpv4(ipv4) }
  }
  const groups = parseIpv6(text)
  if (groups === undefined) return undefined
  return isMapped(groups)
    ? { family: 'IPv4', text: formatGroups(groups.slice(6)) }
    : { family: 'IPv6', text: formatGroups(groups) }
}

/**
 * Reads `address/prefix` (Go's ParseCIDRSloppy), host bits cleared. An IPv4-mapped network of 96 bits and more is the
 * IPv4 network.
 */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const address = text.slice(0, slash)
  const ipv4 = parseIpv4(address)
  const groups = ipv4 === undefined ? parseIpv6(address) : groupsOfIpv4(ipv4)
  const digits = text.slice(slash + 1)
  if (groups === undefined || !/^[0-9]+$/.test(digits)) return undefined
  const prefix = Number(digits)
  if (prefix > groups.length * 16) return undefined
  const network = groups.map((group, index) => group & maskOfGroup(prefix, index))
  // The 96 bits that make it mapped are left only by a prefix that covers them.
  return isMapped(network) ? cidrOf(network.slice(6), prefix - 96) : cidrOf(network, prefix)
}

/** Whether the address lies in the network. An address of the other family never does. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  if (cidr.family !== address.family) return false
  const ipv4 = address.family === 'IPv4' ? parseIpv4(address.text) : undefined
  const groups = ipv4 === undefined ? parseIpv6(address.text) : groupsOfIpv4(ipv4)
  return (
    groups !== undefined &&
    cidr.groups.every((group, index) => ((groups[index] ?? -1) & maskOfGroup(cidr.prefix, index)) === group)
  )
}

function cidrOf(groups: readonly number[], prefix: number): Cidr {
  const family = groups.length === 2 ? 'IPv4' : 'IPv6'
  return { family, text: `${formatGroups(groups)}/${prefix}`, prefix, groups }
}

/** The bits of the group at `index` that a prefix of so many bits covers. */
function maskOfGroup(prefix: number, index: number): number {
  const bits = Math.min(16, Math.max(0, prefix - index * 16))
  return (0xffff << (16 - bits)) & 0xffff
}

const DOT = 46
const COLON = 58
const ZERO = 48

/** The address as an unsigned number of 32 bits. */
function parseIpv4(text: string): number | undefined {
  let address = 0
  let octet = -1
  let dots = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === DOT) {
      if (octet < 0 || ++dots > 3) return undefined
      address = address * 256 + octet
      octet = -1
    } else {
      const digit = code - ZERO
      if (digit < 0 || digit > 9) return undefined
      octet = octet < 0 ? digit : octet * 10 + digit
      if (octet > 255) return undefined
    }
  }
  return dots === 3 && octet >= 0 ? address * 256 + octet : undefined
}

/** Whether a text that parses has no leading zeros: a zero after a dot or the start is followed by a dot or the end. */
function isCanonicalIpv4(text: string): boolean {
  let start = true
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (start && code === ZERO && index + 1 < text.length && text.charCodeAt(index + 1) !== DOT) return false
    start = code === DOT
  }
  return true
}

const groupsOfIpv4 = (address: number): readonly number[] => [address >>> 16, address & 0xffff]

const formatIpv4 = (address: number): string =>
  `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`

/** Eight groups of 16 bits. */
function parseIpv6(text: string): readonly number[] | undefined {
  const gap = text.indexOf('::')
  if (gap < 0) return ofLength(parseGroups(text, 8), 8)
  const before = gap === 0 ? [] : parseGroups(text.slice(0, gap), 7)
  const rest = text.slice(gap + 2)
  const after = rest === '' ? [] : parseGroups(rest, 7)
  // A dotted tail may only end an address.
  if (before === undefined || after === undefined || text.slice(0, gap).includes('.')) return undefined
  const zeros = 8 - before.length - after.length
  return zeros < 1 ? undefined : [...before, ...Array.from({ length: zeros }, () => 0), ...after]
}

const ofLength = (groups: readonly number[] | undefined, length: number): readonly number[] | undefined =>
  groups?.length === length ? groups : undefined

/** Groups between single colons, the last two of which may be written as an IPv4 address. */
function parseGroups(text: string, limit: number): readonly number[] | undefined {
  const groups: number[] = []
  let group = -1
  let start = 0
  for (let index = 0; index <= text.length; index++) {
    const code = index === text.length ? COLON : text.charCodeAt(index)
    if (code === COLON) {
      if (group < 0 || groups.length === limit) return undefined
      groups.push(group)
      group = -1
      start = index + 1
    } else if (code === DOT) {
      const ipv4 = parseIpv4(text.slice(start))
      return ipv4 === undefined || groups.length + 2 > limit ? undefined : [...groups, ...groupsOfIpv4(ipv4)]
    } else {
      const digit = hexDigit(code)
      if (digit < 0) return undefined
      group = group < 0 ? digit : group * 16 + digit
      // A dotted tail reads as hexadecimal until its first dot, and three of its digits always fit.
      if (group > 0xffff) return undefined
    }
  }
  return groups
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= 57) return code - ZERO
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

const isMapped = (groups: readonly number[]): boolean =>
  groups.length === 8 && groups[5] === 0xffff && groups.every((group, index) => index >= 5 || group === 0)

function formatGroups(groups: readonly number[]): string {
  if (groups.length === 2) return formatIpv4((groups[0] ?? 0) * 65536 + (groups[1] ?? 0))
  const { start, length } = longestZeros(groups)
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  return length < 2 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}

/** The first of the longest runs of zero groups (RFC 5952, 4.2.3). */
function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 }
  let length = 0
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0
    if (length > best.length) best = { start: index + 1 - length, length }
  }
  return best
}

/** Where a server listens. */
export interface SocketAddress {
  /** An IP address, without brackets; 0.0.0.0 and :: are all of a family. */
  readonly host: string
  readonly port: number
}

/**
 * Reads `IP:port`, `[IPv6]:port`, or an IP alone, which gets the default port (AppendPortIfNeeded and validateHostPort of
 * kube-proxy 1.36). Undefined for anything else.
 */
export function parseSocketAddress(text: string, defaultPort: number): SocketAddress | undefined {
  const alone = parseAddress(text)
  if (alone !== undefined) return { host: alone.text, port: defaultPort }
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const address = parseAddress(bracketed ?? plain ?? '')
  const port = Number(digits)
  return address === undefined || port < 1 || port > 65_535 ? undefined : { host: address.text, port }
}

export const formatSocketAddress = ({ host, port }: SocketAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Whether a CIDR in canonical spelling holds every address of its family: `0.0.0.0/0`, `::/0`. */
export const isOfAllAddresses = (cidr: string): boolean => cidr.endsWith('/0')
