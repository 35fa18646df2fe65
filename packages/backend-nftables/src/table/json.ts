import { parseAddress, type Json } from '@pointsman/core'

/** A list as it is typed; undefined: it is none. */
export const listOf = (value: Json | undefined): readonly Json[] | undefined =>
  Array.isArray(value) ? (value as readonly Json[]) : undefined

/** A text or a number as nft writes it; anything else as its JSON. */
export const scalarText = (value: Json | undefined): string =>
  typeof value === 'string' ? value : JSON.stringify(value ?? null)

/** An IPv6 address in the spelling of Kubernetes (RFC 5952), which writes no part of it as IPv4: nft lists `::a00:1` as `::10.0.0.1`. */
export const addressText = (text: string): string => (text.includes(':') ? (parseAddress(text)?.text ?? text) : text)
