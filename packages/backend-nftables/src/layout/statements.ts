import { isJsonObject, parseAddress, parseCidr, type Json, type LocalSource } from '@pointsman/core'
import { listOf } from '../table/json.js'
import type { Statement } from '../table/table.js'

/*
 * The statements that layouts put into rules, as `nft -j` lists them.
 */

export interface AddressFields {
  /** `ip` or `ip6`: the protocol whose header has the addresses. */
  readonly ip: 'ip' | 'ip6'
}

type Operator = '==' | '!=' | 'in'

const match = (left: Json, op: Operator, right: Json): Statement => ({ match: { op, left, right } })

const payload = (protocol: string, field: string): Json => ({ payload: { protocol, field } })
const meta = (key: string): Json => ({ meta: { key } })

export const sourceAddress = ({ ip }: AddressFields): Json => payload(ip, 'saddr')
export const destinationAddress = ({ ip }: AddressFields): Json => payload(ip, 'daddr')

const PROTOCOL = meta('l4proto')
const DESTINATION_PORT = payload('th', 'dport')

/** `l4proto . dport`, of any protocol that has ports. */
export const PORT_KEY: Json = { concat: [PROTOCOL, DESTINATION_PORT] }
/** `daddr . l4proto . dport`. */
export const addressPortKey = (fields: AddressFields): Json => ({
  concat: [destinationAddress(fields), PROTOCOL, DESTINATION_PORT],
})
/** `saddr . daddr . l4proto . dport`. */
export const connectionKey = (fields: AddressFields): Json => ({
  concat: [sourceAddress(fields), destinationAddress(fields), PROTOCOL, DESTINATION_PORT],
})

export const isIn = (key: Json, set: string): Statement => match(key, '==', `@${set}`)
export const vmap = (key: Json, map: string): Statement => ({ vmap: { key, data: `@${map}` } })

export const IS_NEW = match({ ct: { key: 'state' } }, 'in', 'new')
export const IS_TRANSLATED = match({ ct: { key: 'status' } }, 'in', 'dnat')
export const FROM_THIS_NODE = match({ fib: { result: 'type', flags: ['saddr'] } }, '==', 'local')
export const TO_THIS_NODE = match({ fib: { result: 'type', flags: ['daddr'] } }, '==', 'local')
export const isProtocol = (protocol: string): Statement => match(PROTOCOL, '==', protocol)

/** An address or a network, or any of several. */
export function isWithin(address: Json, networks: readonly string[], op: Operator = '=='): Statement {
  const members = networks.toSorted(byAddress).map(member)
  const [only] = members
  return match(address, op, members.length === 1 && only !== undefined ? only : { set: members })
}

/** nft lists the members of a set in this order. */
function byAddress(a: string, b: string): number {
  const [one, other] = [groupsOf(a), groupsOf(b)]
  const at = one.findIndex((group, index) => group !== other[index])
  return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0)
}

function groupsOf(network: string): readonly number[] {
  const cidr = parseCidr(
    network.includes('/') ? network : `${network}/${parseAddress(network)?.family === 'IPv4' ? 32 : 128}`,
  )
  // The core hands over addresses and networks that it has read: anything else is a bug.
  if (cidr === undefined) throw new Error(`not an address or a network: ${JSON.stringify(network)}`)
  return cidr.groups
}

function member(network: string): Json {
  const [addr = '', length] = network.split('/')
  const bits = addr.includes(':') ? 128 : 32
  return length === undefined || Number(length) === bits ? addr : { prefix: { addr, len: Number(length) } }
}

/** Whether a pod of this node sent it, or not. */
export function isLocal(source: LocalSource, fields: AddressFields, op: '==' | '!='): Statement {
  switch (source.type) {
    case 'cidr':
      return isWithin(sourceAddress(fields), [source.cidr.text], op)
    case 'interface':
      return match(meta('iifname'), op, source.name)
    case 'interfacePrefix':
      return match(meta('iifname'), op, `${source.prefix}*`)
  }
}

export const jump = (target: string): Statement => ({ jump: { target } })
export const goto = (target: string): Statement => ({ goto: { target } })
export const DROP: Statement = { drop: null }
export const REJECT: Statement = { reject: null }

const MARK = meta('mark')
export const setMark = (bits: number): Statement => ({ mangle: { key: MARK, value: { '|': [MARK, bits] } } })
export const isMarked = (bits: number): Statement => match({ '&': [MARK, bits] }, '!=', 0)
/** Of a packet that has the bits. */
export const clearMark = (bits: number): Statement => ({ mangle: { key: MARK, value: { '^': [MARK, bits] } } })
export const masquerade = ({ randomFully }: { readonly randomFully: boolean }): Statement => ({
  masquerade: randomFully ? { flags: ['fully-random'] } : null,
})

export const dnat = (addr: string, port: number): Statement => ({ dnat: { addr, port } })

const numgen = (mod: number, offset = 0): Json => ({ numgen: { mode: 'random', mod, offset } })

/** To one of several addresses and ports, by equal chances. */
export const spreadDnat = (
  { ip }: AddressFields,
  endpoints: readonly { readonly address: string; readonly port: number }[],
): Statement => ({
  dnat: {
    family: ip,
    addr: {
      map: {
        key: numgen(endpoints.length),
        data: { set: endpoints.map(({ address, port }, index) => [index, { concat: [address, port] }]) },
      },
    },
  },
})

/** To what a map has under a key and one of `count` numbers from `first` on, by equal chances; where it has nothing, the rule does not match. */
export const dnatByMap = ({ ip }: AddressFields, { key, count, first, map }: SlotChoice): Statement => ({
  dnat: { family: ip, addr: { map: { key: { concat: [...partsOf(key), numgen(count, first)] }, data: `@${map}` } } },
})

export interface SlotChoice {
  readonly key: Json
  readonly count: number
  readonly first: number
  readonly map: string
}

const partsOf = (key: Json): readonly Json[] => (isJsonObject(key) && listOf(key['concat'])) || [key]

/** To one of several chains, by equal chances. */
export const spreadGoto = (chains: readonly string[]): Statement => ({
  vmap: { key: numgen(chains.length), data: { set: chains.map((chain, index) => [index, goto(chain)]) } },
})

/** Puts the sender into a set, or begins its time anew. */
export const remember = (fields: AddressFields, set: string): Statement => ({
  set: { op: 'update', elem: sourceAddress(fields), set: `@${set}` },
})
