import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The top folder of this clone, wherever the caller stands. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** The folder of each package, sorted. */
export function packageDirectories() {
  const packages = join(root, 'packages')
  return readdirSync(packages, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(packages, entry.name))
    .sort()
}
