import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SourceFile } from './source-file.js'

/** The top folder of this clone. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

const PASSED_OVER = new Set(['node_modules', 'dist', '.git', 'coverage'])

/** Every text file under a folder of the clone, sorted by path. What is built, installed or not text is left out. */
export function readTree(folder = ''): readonly SourceFile[] {
  return pathsUnder(folder)
    .filter((path) => !/\.(?:db|db-wal|db-shm|png|tgz|gz)$/.test(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

function pathsUnder(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => !PASSED_OVER.has(entry.name) && !entry.name.startsWith('.set-up-lock'))
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return pathsUnder(path)
      return entry.isFile() ? [path] : []
    })
    .toSorted()
}
