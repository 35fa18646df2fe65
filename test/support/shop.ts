import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The bundled recording. */
export const SHOP_RECORDING = fileURLToPath(
  new URL('../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url),
)

/** A file of fixtures/reports: inputs as people have them. */
export const reportInput = (path: string): string =>
  fileURLToPath(new URL(`../../fixtures/reports/${path}`, import.meta.url))

export interface Folder {
  readonly path: (name: string) => string
  /** Writes a file, and gives its path. */
  readonly write: (name: string, content: string | Buffer) => string
  readonly remove: () => void
}

/** An empty folder for the files of a test. */
export function temporaryFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-test-'))
  const path = (name: string): string => join(folder, name)
  return {
    path,
    write(name, content) {
      writeFileSync(path(name), content)
      return path(name)
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
