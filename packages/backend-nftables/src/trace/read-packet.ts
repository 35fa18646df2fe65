import { isOwnAddress, type Judged, type Mark, mixedMark, setBits } from '@pointsman/core/trace'
import { formatExpression } from '../listing/format.js'
import type { Expression } from '../listing/model.js'
import { addressValue, nameValue, numberValue, NUMBERS, type Value } from './values.js'

/** What an expression comes to for a packet, without maps: those are looked up by rules. */
export function valueOf(expression: Expression, judged: Judged): Value {
  switch (expression.type) {
    case 'field':
      return fieldOf(expression, judged)
    case 'meta':
      return metaOf(expression.key, judged)
    case 'ct':
      return connectionOf(expression, judged)
    case 'fib':
      return fibOf(expression, judged)
    case 'numgen':
    case 'hash': {
      const { mod, offset } = expression
      const isRandom = expression.type === 'numgen' && expression.mode === 'random'
      const message =
        expression.type === 'numgen'
          ? `how many packets a rule has counted is not known: one in ${mod} is taken to match`
          : `what ${formatExpression(expression)} comes to is not known: its ${mod} values are taken to be as likely`
      return {
        type: 'chance',
        first: offset,
        count: mod,
        assumption: isRandom ? undefined : { code: 'PACKET_COUNT', message },
      }
    }
    case 'concat':
      return { type: 'concat', parts: expression.parts.map((part) => valueOf(part, judged)) }
    case 'binary':
      return binaryOf(expression, judged)
    case 'literal':
      return typeof expression.value === 'number'
        ? {
            type: 'mark',
            mark: { value: expression.value >>> 0, unknown: 0, of: '' },
            told: `it is ${expression.value}`,
          }
        : nameValue(expression.value, `it is ${expression.value}`)
    case 'prefix':
    case 'range':
    case 'any':
    case 'list':
    case 'set':
    case 'reference':
    case 'verdict':
    case 'map':
    case 'other':
      return { type: 'opaque', text: formatExpression(expression), code: 'MATCH' }
  }
}

function fieldOf({ header, name }: Extract<Expression, { readonly type: 'field' }>, { packet }: Judged): Value {
  const { family, protocol } = packet
  const opaque: Value = { type: 'opaque', text: `${header} ${name}`, code: 'MATCH' }
  switch (header) {
    case 'ip':
    case 'ip6': {
      if ((header === 'ip') !== (family === 'IPv4')) return { type: 'absent', because: `it is ${family}` }
      if (name === 'daddr') return addressValue(packet.destination, `the destination is ${packet.destination}`)
      if (name === 'saddr') {
        if (packet.unknownSource === undefined) return addressValue(packet.source, `the source is ${packet.source}`)
        return {
          type: 'unknown',
          kind: 'address',
          claim: { subject: packet.unknownSource, code: 'SOURCE_ADDRESS' },
          what: packet.unknownSource,
        }
      }
      if (name === 'protocol' || name === 'nexthdr') return protocolOf(protocol)
      if (name === 'version') return numberValue(family === 'IPv4' ? 4 : 6, `it is ${family}`)
      return opaque
    }
    case 'tcp':
    case 'udp':
    case 'sctp':
    case 'th': {
      if (header === 'th' ? !HAS_PORTS.has(protocol) : header !== protocol)
        return { type: 'absent', because: `the protocol is ${protocol}` }
      if (name === 'dport') return numberValue(packet.destinationPort, `the port is ${packet.destinationPort}`)
      if (name === 'sport') {
        if (packet.sourcePort !== undefined && packet.sourceChanged === false)
          return numberValue(packet.sourcePort, `the source port is ${packet.sourcePort}`)
        const subject = packet.sourceChanged !== false ? 'the source port after SNAT' : 'the source port'
        return { type: 'unknown', kind: 'number', claim: { subject, code: 'SOURCE_PORT' }, what: 'the source port' }
      }
      if (name === 'flags') {
        const flag = packet.tracking === 'NEW' || packet.tracking === 'UNTRACKED' ? 'syn' : 'ack'
        return { type: 'words', words: [flag], told: `its flag is ${flag.toUpperCase()}` }
      }
      return opaque
    }
    case 'icmp':
    case 'icmpv6': {
      const own = family === 'IPv4' ? 'icmp' : 'icmpv6'
      if (header !== own || (protocol !== 'icmp' && protocol !== 'ipv6-icmp'))
        return { type: 'absent', because: `the protocol is ${protocol}` }
      if (name === 'type')
        return {
          type: 'words',
          words: ['echo-request', header === 'icmp' ? '8' : '128'],
          told: 'it is an echo request',
        }
      if (name === 'code') return numberValue(0, 'its code is 0')
      return opaque
    }
    case 'ether':
      if (name !== 'saddr' || packet.mac === undefined)
        return { ...opaque, code: name === 'saddr' ? 'MAC_ADDRESS' : 'MATCH' }
      return nameValue(packet.mac, `the sender's MAC address is ${packet.mac}`)
    default:
      return NUMBERS[header] === undefined || header === protocol
        ? opaque
        : { type: 'absent', because: `the protocol is ${protocol}` }
  }
}

const HAS_PORTS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', 'udplite', 'dccp'])

const protocolOf = (protocol: string): Value => numberValue(NUMBERS[protocol] ?? 0, `the protocol is ${protocol}`)

function metaOf(key: string, { packet }: Judged): Value {
  switch (key) {
    case 'l4proto':
    case 'protocol':
      if (key === 'protocol')
        return { type: 'words', words: [packet.family === 'IPv4' ? 'ip' : 'ip6'], told: `it is ${packet.family}` }
      return protocolOf(packet.protocol)
    case 'nfproto':
      return { type: 'words', words: [packet.family.toLowerCase()], told: `it is ${packet.family}` }
    case 'mark':
      return { type: 'mark', mark: packet.mark, told: `the mark is 0x${packet.mark.value.toString(16)}` }
    case 'iifname':
    case 'iif':
      return interfaceOf(packet.inInterface, { code: 'IN_INTERFACE', verb: 'arrives', subject: 'input interface' })
    case 'oifname':
    case 'oif':
      return interfaceOf(packet.outInterface, { code: 'OUT_INTERFACE', verb: 'leaves', subject: 'output interface' })
    case 'pkttype':
      return { type: 'words', words: ['host', 'unicast'], told: 'it is for this host alone' }
    case 'random':
      return { type: 'chance', first: 0, count: 2 ** 32, assumption: undefined }
    case 'skuid':
    case 'skgid': {
      if (!packet.bornHere) return { type: 'absent', because: 'no process of the node sends it' }
      const id = key === 'skuid' ? packet.uid : packet.gid
      if (id === undefined) return { type: 'opaque', text: `meta ${key}`, code: 'OWNER' }
      return numberValue(id, `the sender's ${key === 'skuid' ? 'uid' : 'gid'} is ${id}`)
    }
    default:
      return { type: 'opaque', text: `meta ${key}`, code: 'MATCH' }
  }
}

function interfaceOf(
  name: string | undefined,
  {
    code,
    verb,
    subject,
  }: { readonly code: 'IN_INTERFACE' | 'OUT_INTERFACE'; readonly verb: string; readonly subject: string },
): Value {
  if (name === undefined) return { type: 'unknown', kind: 'name', claim: { subject, code }, what: `it ${verb} by` }
  return nameValue(name, name === '' ? `it ${verb} by no interface here` : `it ${verb} by ${name}`)
}

function connectionOf(expression: Extract<Expression, { readonly type: 'ct' }>, { packet }: Judged): Value {
  const { key, direction } = expression
  const { tracking, original } = packet
  const isTracked = tracking === 'NEW' || tracking === 'ESTABLISHED'
  if (key === 'state') return { type: 'words', words: [tracking.toLowerCase()], told: `the connection is ${tracking}` }
  // net/netfilter/nft_ct.c: without an entry, the rule does not match.
  if (!isTracked) return { type: 'absent', because: `the connection is ${tracking}` }
  const opaque: Value = { type: 'opaque', text: formatExpression(expression), code: 'CONNECTION' }
  switch (key) {
    case 'status': {
      if (tracking === 'ESTABLISHED') return opaque
      const words = [
        ...(packet.destinationRewritten ? ['dnat'] : []),
        ...(packet.sourceChanged === true ? ['snat'] : []),
        ...(packet.confirmed ? ['confirmed'] : []),
      ]
      return {
        type: 'words',
        words,
        told: words.length === 0 ? 'the connection is not rewritten' : `the connection has ${words.join(', ')}`,
      }
    }
    case 'direction':
      return { type: 'words', words: ['original', '0'], told: 'it goes the way of its first packet' }
    case 'mark': {
      const { connectionMark: mark } = packet
      return { type: 'mark', mark, told: `the mark of its connection is 0x${mark.value.toString(16)}` }
    }
    case 'saddr':
    case 'daddr': {
      if (direction !== 'original') return opaque
      const address = key === 'saddr' ? original.source : original.destination
      return addressValue(address, `conntrack has ${address}`)
    }
    case 'proto-dst':
      if (direction !== 'original') return opaque
      return numberValue(original.destinationPort, `conntrack has the port ${original.destinationPort}`)
    case 'proto-src':
      if (direction !== 'original' || original.sourcePort === undefined) return opaque
      return numberValue(original.sourcePort, `conntrack has the port ${original.sourcePort}`)
    case 'l3proto':
      return { type: 'words', words: [packet.family.toLowerCase()], told: `it is ${packet.family}` }
    case 'protocol':
      return protocolOf(packet.protocol)
    default:
      return opaque
  }
}

/** `fib daddr type local`: what the routing tables say of an address. */
function fibOf(expression: Extract<Expression, { readonly type: 'fib' }>, { packet, surroundings }: Judged): Value {
  const { flags, result } = expression
  const opaque: Value = { type: 'opaque', text: formatExpression(expression), code: 'MATCH' }
  if (result !== 'type' || flags.includes('iif') || flags.includes('oif')) return opaque
  const isSource = flags.includes('saddr')
  if (isSource && packet.unknownSource !== undefined)
    return { type: 'words', words: ['local'], told: `${packet.unknownSource} is one of the node's` }
  const address = isSource ? packet.source : packet.destination
  const first = Number.parseInt(address, 10)
  const isMulticast = address.includes(':') ? address.startsWith('ff') : first >= 224 && first < 240
  if (isOwnAddress(surroundings, address))
    return { type: 'words', words: ['local'], told: `${address} is one of the node's own addresses` }
  if (address === '255.255.255.255')
    return { type: 'words', words: ['broadcast'], told: `${address} is a broadcast address` }
  return isMulticast
    ? { type: 'words', words: ['multicast'], told: `${address} is a multicast address` }
    : { type: 'words', words: ['unicast'], told: `${address} is none of the node's own addresses` }
}

type Binary = Extract<Expression, { readonly type: 'binary' }>

/** Bits of a mark, of another number, or of an address. */
function binaryOf({ operator, left, right }: Binary, judged: Judged): Value {
  const opaque: Value = {
    type: 'opaque',
    text: formatExpression({ type: 'binary', operator, left, right }),
    code: 'MATCH',
  }
  const value = valueOf(left, judged)
  if (value.type === 'absent') return value
  if (value.type === 'words' && operator === '&') {
    const flags = right.type === 'list' ? right.items : [right]
    const asked = flags.flatMap((one) => (one.type === 'literal' ? [String(one.value)] : []))
    return { ...value, words: value.words.filter((word) => asked.includes(word)) }
  }
  if (value.type === 'chance' && operator === '&' && right.type === 'literal' && typeof right.value === 'number') {
    // Of evenly spread bits, some are evenly spread.
    const size = right.value + 1
    return value.first === 0 && Number.isInteger(Math.log2(size)) && value.count % size === 0
      ? { ...value, count: size }
      : opaque
  }
  if (value.type === 'known' && value.kind === 'address' && operator === '&' && right.type === 'literal') {
    const mask = valueOfAddress(right.value)
    if (mask === undefined || mask.length !== value.order.length) return opaque
    const bits = BigInt(`0x${value.order}`) & BigInt(`0x${mask}`)
    return { ...value, order: bits.toString(16).padStart(mask.length, '0') }
  }
  const mark = markOf(value)
  const other = right.type === 'literal' && typeof right.value === 'number' ? right.value : undefined
  if (mark === undefined) return opaque
  const told = 'told' in value ? value.told : ''
  if (other === undefined) {
    const otherMark = markOf(valueOf(right, judged))
    if (otherMark === undefined || operator !== '|') return opaque
    if (((mark.value | mark.unknown) & (otherMark.value | otherMark.unknown)) !== 0) return opaque
    return { type: 'mark', mark: mixedMark(mark, 0, otherMark, 0xff_ff_ff_ff), told }
  }
  switch (operator) {
    case '&':
      return { type: 'mark', mark: setBits(mark, { value: 0, mask: ~other >>> 0 }), told }
    case '|':
      return { type: 'mark', mark: setBits(mark, { value: other, mask: other }), told }
    case '^':
      return { type: 'mark', mark: setBits(mark, { value: other, mask: 0 }), told }
    case '<<':
      return mark.unknown === 0 ? { type: 'mark', mark: { ...mark, value: (mark.value << other) >>> 0 }, told } : opaque
    case '>>':
      return mark.unknown === 0 ? { type: 'mark', mark: { ...mark, value: mark.value >>> other }, told } : opaque
    default:
      return opaque
  }
}

const valueOfAddress = (value: string | number): string | undefined => {
  const order = addressValue(String(value), '')
  return typeof value === 'string' && order.type === 'known' && /^[\da-f]+$/.test(order.order) ? order.order : undefined
}

/** Undefined: it is no number. */
export function markOf(value: Value): Mark | undefined {
  if (value.type === 'mark') return value.mark
  if (value.type === 'known' && value.kind === 'number') return { value: Number(value.order), unknown: 0, of: '' }
  return undefined
}
