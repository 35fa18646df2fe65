import { isUtf8 } from 'node:buffer'
import { printable } from '../../model/shown-text.js'

export type ParsedJson = { readonly value: unknown } | { readonly cause: string }

/** Reads JSON from bytes. Bytes that are no UTF-8 are refused, where a lenient reader would alter a name. */
export function parseJson(bytes: Uint8Array): ParsedJson {
  if (!isUtf8(bytes)) return { cause: 'not UTF-8' }
  try {
    return { value: JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) }
  } catch (error) {
    return { cause: `not JSON: ${printable(error instanceof Error ? error.message : String(error))}` }
  }
}
