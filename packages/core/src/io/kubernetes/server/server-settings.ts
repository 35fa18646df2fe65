import type { Cluster, User } from '@kubernetes/client-node'
import { readFile } from 'node:fs/promises'

/** How one API server is spoken to: what a kubeconfig, flags, or the service account of a pod come to. */
export interface ServerSettings {
  /** Where this was said, for messages: `/etc/kubeconfig, context dev`. */
  readonly source: string
  /** With the scheme, and the path that every request begins with, if there is one. */
  readonly url: URL
  readonly cluster: Omit<Cluster, 'server'>
  readonly user: UserSettings
  /** What relative paths are relative to. */
  readonly directory: string
}

/** client-node's user, and what it leaves out of a kubeconfig. */
export interface UserSettings extends User {
  /** Read again for each request. What was read last counts before `token`. */
  readonly tokenFile?: string
  readonly impersonateGroups?: readonly string[]
  readonly impersonateUid?: string
}

/**
 * An address as client-go takes it: without a scheme it is HTTPS where there is something to verify the server by, else HTTP.
 * Undefined where it is none.
 */
export function serverUrlOf(address: string, { verified }: { readonly verified: boolean }): URL | undefined {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `${verified ? 'https' : 'http'}://${address}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '' ? url : undefined
}

/** Reads a whole file as text: a parameter of everything here that reads credentials. */
export type ReadText = (path: string) => Promise<string>

export const readTextFile: ReadText = (path) => readFile(path, 'utf8')

/** A file that is read again and again, and may be gone for a moment while it is exchanged: what was read last counts then. */
export function createRememberedFile(path: string, read: ReadText): () => Promise<string> {
  let last: string | undefined
  return async () => {
    try {
      const text = await read(path)
      // A file that is being written anew is empty for a moment.
      if (text !== '' || last === undefined) last = text
    } catch (error) {
      if (last === undefined) throw error
    }
    return last
  }
}
