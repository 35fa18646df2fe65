import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './source-tree.js'

/** Before the tests: those that start the command run the bundle of what was built last. */
export function setup(): void {
  if (!existsSync(join(root, 'packages/cli/dist/main.js'))) return
  execFileSync(process.execPath, [join(root, 'scripts/bundle.mjs')], { stdio: 'inherit' })
}
