// node scripts/test-installed.mjs   (root; after set-up; needs mmdebstrap and Debian's packages; some five minutes)
//
// Makes what an operator installs, in empty folders: the root file system of the image, as deploy/image/root.sh makes it, and the packed
// tarball, as npm installs it; and runs test/installed against both: the demo, a recording, and the agent until rules are in force.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MOST_MB = { image: 250, package: 60 }
const root = fileURLToPath(new URL('..', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'pointsman-installed-'))
const run = (program, args, options = {}) => execFileSync(program, args, { cwd: root, stdio: 'inherit', ...options })
const sizeOf = (path) => Number(execFileSync('du', ['-sm', path], { encoding: 'utf8' }).split('\t')[0])

try {
  run('npm', ['pack', '--silent', './packages/cli', '--pack-destination', work], { stdio: 'ignore' })
  const tarball = join(
    work,
    readdirSync(work).find((name) => name.endsWith('.tgz')),
  )
  const prefix = join(work, 'prefix')
  console.log('npm install')
  run('npm', ['install', '--global', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', prefix, tarball])
  const image = join(work, 'root')
  console.log('deploy/image/root.sh')
  run('bash', ['deploy/image/root.sh', image, tarball])
  const sizes = { image: sizeOf(image), package: sizeOf(prefix) }
  console.log(`image ${sizes.image} MB, package with what it needs ${sizes.package} MB`)
  const env = { ...process.env, POINTSMAN_IMAGE_ROOT: image, POINTSMAN_PREFIX: prefix }
  run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--project', 'installed'], { env })
  for (const [what, most] of Object.entries(MOST_MB))
    if (sizes[what] > most) throw new Error(`the ${what} has ${sizes[what]} MB: at most ${most} are wanted`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
