/** ASN.1 values in DER (X.690), as far as a certificate has them. Each function gives the bytes of one value. */
export const der = {
  sequence: (...parts: readonly Uint8Array[]) => tagged(0x30, ...parts),
  set: (...parts: readonly Uint8Array[]) => tagged(0x31, ...parts),
  /** A constructed value under a number that depends on the place: `[0]`. */
  explicit: (number: number, ...parts: readonly Uint8Array[]) => tagged(0xa0 + number, ...parts),
  /** A plain value under a number that depends on the place. */
  implicit: (number: number, content: Uint8Array) => tagged(0x80 + number, content),
  boolean: (value: boolean) => tagged(0x01, Uint8Array.of(value ? 0xff : 0)),
  /** Of bytes, most significant first; never negative. */
  integer: (bytes: Uint8Array) => tagged(0x02, (bytes[0] ?? 0) < 0x80 ? bytes : Uint8Array.of(0, ...bytes)),
  octets: (content: Uint8Array) => tagged(0x04, content),
  bits: (content: Uint8Array, { unused = 0 }: { readonly unused?: number } = {}) =>
    tagged(0x03, Uint8Array.of(unused), content),
  text: (value: string) => tagged(0x0c, new TextEncoder().encode(value)),
  /** Dotted decimal: `2.5.4.3`. */
  objectId: (value: string) => tagged(0x06, objectIdBytes(value)),
  /** Whole seconds. */
  time: (epochMs: number) => {
    const digits = new Date(epochMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
    return tagged(0x18, new TextEncoder().encode(digits))
  },
} as const

function tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts)
  return Buffer.concat([Uint8Array.of(tag), lengthBytes(content.length), content])
}

function lengthBytes(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length)
  if (length < 0x100) return Uint8Array.of(0x81, length)
  return Uint8Array.of(0x82, length >> 8, length & 0xff)
}

function objectIdBytes(value: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = value.split('.').map(Number)
  return Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)])
}

/** Seven bits a byte, the high bit set in all but the last. */
function base128(value: number): readonly number[] {
  const high = value >> 7
  return high === 0 ? [value & 0x7f] : [...base128(high).map((byte) => byte | 0x80), value & 0x7f]
}
