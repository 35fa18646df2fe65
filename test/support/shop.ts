import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The bundled recording. */
export const SHOP_RECORDING = fileURLToPath(
  new URL('../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url),
)

export interface Folder {
  readonly path: (name: string) => string
  readonly remove: () => void
}

/** An empty folder for the files of a test. */
export function temporaryFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-test-'))
  return { path: (name) => join(folder, name), remove: () => rmSync(folder, { recursive: true, force: true }) }
}
