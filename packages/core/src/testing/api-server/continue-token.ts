import { isJsonObject } from '../../model/json-value.js'

/** Where the next page of a list begins. */
export interface ContinueFrom {
  /** The list's resourceVersion; undefined: go on with what there is now, consistent or not. */
  readonly resourceVersion: number | undefined
  /** Keys at and after it are on the page. */
  readonly start: string
}

/** The token as the API server writes it: unpadded base64 of a JSON object, its keys led by a slash. */
export function formatContinueToken({ resourceVersion, start }: ContinueFrom): string {
  const token = { v: 'meta.k8s.io/v1', rv: resourceVersion ?? -1, start: `/${start}` }
  // Go writes a NUL as the six characters that JSON has for it, as JSON.stringify does.
  return Buffer.from(JSON.stringify(token)).toString('base64url')
}

/** Undefined: no token of this server. */
export function parseContinueToken(token: string): ContinueFrom | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
    if (!isJsonObject(value) || typeof value['rv'] !== 'number' || typeof value['start'] !== 'string') return undefined
    return { resourceVersion: value['rv'] < 0 ? undefined : value['rv'], start: value['start'].replace(/^\//, '') }
  } catch {
    return undefined
  }
}
