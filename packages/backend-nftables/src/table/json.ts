import type { Json } from '@pointsman/core'

/** A list as it is typed; undefined: it is none. */
export const listOf = (value: Json | undefined): readonly Json[] | undefined =>
  Array.isArray(value) ? (value as readonly Json[]) : undefined

/** A text or a number as nft writes it; anything else as its JSON. */
export const scalarText = (value: Json | undefined): string =>
  typeof value === 'string' ? value : JSON.stringify(value ?? null)
