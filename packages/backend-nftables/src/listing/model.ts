/** What nft lists, whether as text or as JSON: the same rules give the same model. Numbers are numbers, however they are spelled. */
export interface NftRuleset {
  readonly tables: readonly NftTable[]
}

export type NftFamily = 'ip' | 'ip6' | 'inet' | 'arp' | 'bridge' | 'netdev'

export interface NftTable {
  readonly family: NftFamily
  readonly name: string
  /** `dormant`: its base chains are not asked. */
  readonly flags: readonly string[]
  /** Absent in the JSON of nft 1.0.6. */
  readonly comment?: string
  readonly chains: readonly NftChain[]
  readonly sets: readonly NftSet[]
  /** Named counters, quotas, limits, ct helpers, flowtables: what rules refer to besides sets. */
  readonly objects: readonly NftObject[]
}

export interface NftObject {
  /** `counter`, `ct helper`. */
  readonly type: string
  readonly name: string
}

export interface NftChain {
  readonly name: string
  /** Absent in the JSON of nft 1.0.6. */
  readonly comment?: string
  /** Absent: the kernel asks it only where a rule leads to it. */
  readonly base?: NftHook
  readonly rules: readonly NftRule[]
}

export interface NftHook {
  readonly type: 'filter' | 'nat' | 'route'
  /** `prerouting` */
  readonly hook: string
  readonly priority: number
  readonly policy: 'accept' | 'drop'
}

export interface NftRule {
  /** Conditions and actions, in their order. */
  readonly statements: readonly Statement[]
  readonly comment?: string
  /** Absent: the listing has none. */
  readonly handle?: number
}

export interface NftSet {
  readonly kind: 'set' | 'map'
  readonly name: string
  /** Data types of a key's parts: `ipv4_addr`, `inet_service`. Of `typeof`, as far as the type is known, else the expression. */
  readonly key: readonly string[]
  /** The same of what a map leads to; `verdict`. */
  readonly data?: readonly string[]
  /** `interval`, `timeout`, `dynamic`. The JSON of nft 1.0.6 has no `dynamic`. */
  readonly flags: readonly string[]
  readonly timeoutSeconds?: number
  readonly size?: number
  readonly comment?: string
  readonly elements: readonly NftElement[]
}

export interface NftElement {
  readonly key: Expression
  /** Of a map. */
  readonly data?: Expression
  readonly comment?: string
  readonly timeoutSeconds?: number
  /** From the time of the listing on. */
  readonly expiresSeconds?: number
}

export type VerdictName = 'accept' | 'drop' | 'continue' | 'return' | 'jump' | 'goto' | 'queue'

export type Expression =
  /** An address, a number, the name of an interface, a symbol: `10.0.0.1`, 80, `eth0`, `established`. */
  | { readonly type: 'literal'; readonly value: string | number }
  | { readonly type: 'prefix'; readonly address: string; readonly length: number }
  | { readonly type: 'range'; readonly low: Expression; readonly high: Expression }
  /** `*`: what no other element is for. */
  | { readonly type: 'any' }
  | { readonly type: 'concat'; readonly parts: readonly Expression[] }
  /** `established,related` */
  | { readonly type: 'list'; readonly items: readonly Expression[] }
  | { readonly type: 'set'; readonly elements: readonly NftElement[] }
  /** `@cluster-ips` */
  | { readonly type: 'reference'; readonly name: string }
  | { readonly type: 'verdict'; readonly verdict: VerdictName; readonly chain?: string }
  /** A field of a header: `ip daddr`, `th dport`. */
  | { readonly type: 'field'; readonly header: string; readonly name: string }
  | { readonly type: 'meta'; readonly key: string }
  | { readonly type: 'ct'; readonly key: string; readonly direction?: string; readonly family?: string }
  | { readonly type: 'fib'; readonly flags: readonly string[]; readonly result: string }
  | { readonly type: 'numgen'; readonly mode: string; readonly mod: number; readonly offset: number }
  /** `of` is absent in `symhash`. */
  | {
      readonly type: 'hash'
      readonly of?: Expression
      readonly mod: number
      readonly offset: number
      readonly seed?: number
    }
  | { readonly type: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'map'; readonly key: Expression; readonly map: Expression }
  /** Not known here: its text. */
  | { readonly type: 'other'; readonly text: string }

/** `in`: one of several flags, as in `ct state new`; `!`: none of them, as in `ct state ! new`. */
export type Comparison = '==' | '!=' | '<' | '>' | '<=' | '>=' | 'in' | '!'
export const COMPARISONS: ReadonlySet<string> = new Set<Comparison>(['==', '!=', '<', '>', '<=', '>=', 'in', '!'])

export const isDenial = (operator: Comparison): boolean => operator === '!=' || operator === '!'

export type NatKind = 'dnat' | 'snat' | 'masquerade' | 'redirect'

export type Statement =
  | { readonly type: 'match'; readonly left: Expression; readonly operator: Comparison; readonly right: Expression }
  | { readonly type: 'verdict'; readonly verdict: VerdictName; readonly chain?: string }
  | { readonly type: 'vmap'; readonly key: Expression; readonly map: Expression }
  /** `meta mark set 0x1` */
  | { readonly type: 'assign'; readonly to: Expression; readonly value: Expression }
  | { readonly type: 'counter'; readonly name?: string; readonly packets?: number; readonly bytes?: number }
  | {
      readonly type: 'nat'
      readonly kind: NatKind
      readonly family?: string
      /** An address, or an address and a port. */
      readonly address?: Expression
      readonly port?: Expression
      readonly flags: readonly string[]
    }
  /** `icmp host-prohibited`, `tcp reset`. */
  | { readonly type: 'reject'; readonly with?: string }
  | {
      readonly type: 'update'
      readonly operation: 'add' | 'update' | 'delete'
      readonly set: string
      readonly element: NftElement
      readonly statements: readonly Statement[]
    }
  | { readonly type: 'queue'; readonly queue: string; readonly flags: readonly string[] }
  | { readonly type: 'notrack' }
  /** `rate over 10/second` */
  | { readonly type: 'limit'; readonly text: string }
  /** A condition that more than the packet decides, or that is not known here: its text. */
  | { readonly type: 'opaque'; readonly text: string }
  /** Something that is done to the side, as logging: its text. */
  | { readonly type: 'aside'; readonly text: string }
  /** A match or target of iptables that nft does not know: `conntrack`, `MASQUERADE`. */
  | { readonly type: 'xt'; readonly name: string }
  /** Not known here: its text. */
  | { readonly type: 'other'; readonly text: string }

/** Priorities by name; those of bridges are others. */
export const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
}
export const BRIDGE_PRIORITIES: Readonly<Record<string, number>> = { dstnat: -300, filter: -200, out: 100, srcnat: 300 }

/** What a set's `typeof` comes to. */
export function dataTypeOf(expression: Expression): string {
  if (expression.type === 'field')
    return FIELD_TYPES[`${expression.header} ${expression.name}`] ?? FIELD_TYPES[expression.name] ?? textOf(expression)
  if (expression.type === 'meta') return META_TYPES[expression.key] ?? textOf(expression)
  return expression.type === 'ct' && expression.key === 'mark' ? 'mark' : textOf(expression)
}

const textOf = (expression: Expression): string => JSON.stringify(expression)

const FIELD_TYPES: Readonly<Record<string, string>> = {
  'ip saddr': 'ipv4_addr',
  'ip daddr': 'ipv4_addr',
  'ip6 saddr': 'ipv6_addr',
  'ip6 daddr': 'ipv6_addr',
  'ip protocol': 'inet_proto',
  'ip6 nexthdr': 'inet_proto',
  'ether saddr': 'ether_addr',
  'ether daddr': 'ether_addr',
  sport: 'inet_service',
  dport: 'inet_service',
}
const META_TYPES: Readonly<Record<string, string>> = {
  mark: 'mark',
  l4proto: 'inet_proto',
  nfproto: 'nf_proto',
  iifname: 'ifname',
  oifname: 'ifname',
  iif: 'iface_index',
  oif: 'iface_index',
  pkttype: 'pkt_type',
  skuid: 'uid',
  skgid: 'gid',
}

/** nft names no answer where it is the usual one of the packet's family. */
export const rejection = (answer: string): Extract<Statement, { readonly type: 'reject' }> =>
  answer === '' || /^icmp(?:v6|x)? port-unreachable$/.test(answer)
    ? { type: 'reject' }
    : { type: 'reject', with: answer }

/** Whether a comparison with flags, without an operator, asks for one of them. */
export const hasFlags = (expression: Expression): boolean =>
  (expression.type === 'ct' && ['state', 'status', 'label', 'event'].includes(expression.key)) ||
  (expression.type === 'field' && expression.header === 'tcp' && expression.name === 'flags')

/** A text that is no listing, and what is wrong with it, for a person. */
export class NftListingError extends Error {
  override readonly name = 'NftListingError'
  readonly code = 'NOT_A_LISTING'
}
