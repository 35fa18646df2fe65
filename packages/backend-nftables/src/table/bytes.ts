import { isJsonObject } from '@pointsman/core'
import { addressBytes, addressText, type SetElement, type SetVerdict } from 'node-netfilter'
import { targetOfStatement, type Element, type SetDeclaration, type Statement } from './table.js'

/*
 * Elements of sets and maps as the kernel has them, the other form besides text.ts: each part of a key in network order, padded to four bytes
 * where there are several. A number that `numgen` picks is in the order of the CPU.
 */

/** Undefined: its set has parts of other types, or the element something else that only nft can write. */
export function bytesOfElement(element: Element, { key, data }: SetDeclaration): SetElement | undefined {
  const { verdict, comment } = element
  const keyBytes = bytesOfParts(element.key, key)
  if (keyBytes === undefined || (comment !== undefined && Buffer.byteLength(comment) > MOST_COMMENT_BYTES))
    return undefined
  const rest = { key: keyBytes, ...(comment !== undefined && { comment: comment.replaceAll('"', "'") }) }
  if (verdict !== undefined) {
    const wanted = verdictOf(verdict)
    return wanted && { ...rest, verdict: wanted }
  }
  if (element.data === undefined) return rest
  const dataBytes = data && bytesOfParts(element.data, data)
  return dataBytes && { ...rest, data: dataBytes }
}

/** Undefined: a set of such parts, or such an element, no layout has. */
export function elementOfBytes(found: SetElement, { name, key, data }: SetDeclaration): Element | undefined {
  const { verdict, comment } = found
  const parts = partsOfBytes(found.key, key)
  const dataParts = found.data && data && partsOfBytes(found.data, data)
  if (parts === undefined || (found.data !== undefined && dataParts === undefined)) return undefined
  return {
    set: name,
    key: parts,
    ...(verdict !== undefined && { verdict: statementOf(verdict) }),
    ...(dataParts !== undefined && { data: dataParts }),
    ...(comment !== undefined && { comment }),
  }
}

function bytesOfParts(values: Element['key'], types: readonly string[]): Buffer | undefined {
  let length = 0
  for (const type of types) length += padded(WIDTHS[type] ?? 0, types)
  const bytes = Buffer.alloc(length)
  let at = 0
  for (const [index, type] of types.entries()) {
    const value = values[index]
    if (value === undefined || !writePart(bytes, { at, type, value })) return undefined
    at += padded(WIDTHS[type] ?? 0, types)
  }
  return values.length === types.length ? bytes : undefined
}

function writePart(
  bytes: Buffer,
  { at, type, value }: { readonly at: number; readonly type: string; readonly value: string | number },
): boolean {
  switch (type) {
    case 'ipv4_addr':
    case 'ipv6_addr': {
      const address = addressBytes(String(value))
      bytes.set(address, at)
      return address.length === WIDTHS[type]
    }
    case 'inet_proto': {
      const number = typeof value === 'number' ? value : PROTOCOLS[value]
      if (number === undefined) return false
      bytes.writeUInt8(number, at)
      return true
    }
    case 'inet_service':
      if (typeof value !== 'number') return false
      bytes.writeUInt16BE(value, at)
      return true
    case 'integer':
      if (typeof value !== 'number') return false
      bytes.writeUInt32LE(value, at)
      return true
    default:
      return false
  }
}

function partsOfBytes(given: Uint8Array, types: readonly string[]): Element['key'] | undefined {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.length)
  const parts: (string | number)[] = []
  let at = 0
  for (const type of types) {
    const width = WIDTHS[type]
    if (width === undefined || at + width > bytes.length) return undefined
    parts.push(readPart(bytes, { at, type, width }))
    at += padded(width, types)
  }
  return parts
}

function readPart(
  bytes: Buffer,
  { at, type, width }: { readonly at: number; readonly type: string; readonly width: number },
): string | number {
  if (type === 'inet_proto') return PROTOCOL_NAMES.get(bytes.readUInt8(at)) ?? bytes.readUInt8(at)
  if (type === 'inet_service') return bytes.readUInt16BE(at)
  return type === 'integer' ? bytes.readUInt32LE(at) : addressText(bytes.subarray(at, at + width))
}

const padded = (width: number, { length }: readonly string[]): number => (length > 1 ? (width + 3) & ~3 : width)

function verdictOf(statement: Statement): SetVerdict | undefined {
  const target = targetOfStatement(statement)
  if (target !== undefined) return isJsonObject(statement['goto']) ? { goto: target } : { jump: target }
  return 'drop' in statement ? 'drop' : 'accept' in statement ? 'accept' : undefined
}

const statementOf = (verdict: SetVerdict): Statement => {
  if (typeof verdict === 'string') return { [verdict]: null }
  return 'goto' in verdict ? { goto: { target: verdict.goto } } : { jump: { target: verdict.jump } }
}

const WIDTHS: Readonly<Record<string, number>> = {
  ipv4_addr: 4,
  ipv6_addr: 16,
  inet_proto: 1,
  inet_service: 2,
  integer: 4,
}
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 }
const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(PROTOCOLS).map(([name, number]) => [number, name]),
)
// nft(8) refuses longer ones, and says so.
const MOST_COMMENT_BYTES = 127
