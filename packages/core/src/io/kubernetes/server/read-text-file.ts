import { readFile } from 'node:fs/promises'

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
