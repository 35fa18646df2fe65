// node scripts/set-up.mjs
//
// Makes a clone ready: dependencies installed for the Node that runs this, packages built. Quiet, and done in a fraction
// of a second when there is nothing to do. Exit status 1 with the cause and what to do when it fails.
//
// POINTSMAN_PNPM names a pnpm to use (a path) in place of the one that npx fetches.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { withLock } from './lib/lock.mjs'
import { refusalOf } from './lib/node-version.mjs'
import { runQuietly } from './lib/run-quietly.mjs'
import { fingerprint, isOfAnotherPlatform, readStamp, writeStamp } from './lib/stamp.mjs'
import { packageDirectories, root } from './lib/workspace.mjs'

const PNPM = 'pnpm@12.21.0'
const HALF_AN_HOUR_MS = 30 * 60 * 1000
const ADDON_ADVICE =
  'better-sqlite3 was installed but does not load: install python3, make and a C++ compiler, delete node_modules, then run this again'

const refusal = refusalOf(process.versions.node)
if (refusal !== undefined) fail(refusal)

try {
  await withLock({ path: join(root, '.set-up-lock'), timeoutMs: HALF_AN_HOUR_MS, say }, async (lock) => {
    await ensureInstalled(lock)
    await build(lock)
  })
} catch (error) {
  fail(error.message)
}

/** Installs when the manifests, the lockfile or the Node differ from what was installed, or the addon does not load. */
async function ensureInstalled(lock) {
  const wanted = fingerprint()
  const found = readStamp()
  if (found === wanted && (await addonLoads(lock))) return
  say('installing (about a minute, once)')
  // The installer would take the addon of another Node for up to date.
  if (isOfAnotherPlatform(found)) removeInstalled()
  await install(lock)
  if (!(await addonLoads(lock))) {
    removeInstalled()
    await install(lock)
  }
  if (!(await addonLoads(lock))) throw new Error(ADDON_ADVICE)
  writeStamp(wanted)
}

async function install(lock) {
  const own = process.env.POINTSMAN_PNPM
  const [command, ...before] = own === undefined || own === '' ? ['npx', '-y', PNPM] : [own]
  const result = await runQuietly(command, [...before, 'install', '--frozen-lockfile'], {
    lock,
    env: installEnvironment(),
  })
  if (result.status !== 0) {
    process.stderr.write(result.output)
    throw new Error(
      'the install failed, its output is above: see that the npm registry is reached, then run this again',
    )
  }
}

/** No questions; and a compiled addon takes the headers that came with this Node, where they did, over a download. */
function installEnvironment() {
  const headers = join(process.execPath, '..', '..')
  const shipped = existsSync(join(headers, 'include', 'node', 'node_version.h'))
  const unset = process.env.npm_config_nodedir === undefined
  return { ...process.env, CI: 'true', ...(shipped && unset ? { npm_config_nodedir: headers } : {}) }
}

function removeInstalled() {
  for (const directory of [root, ...packageDirectories()]) {
    rmSync(join(directory, 'node_modules'), { recursive: true, force: true })
  }
}

/** In a process of its own: an addon that was loaded, or refused, cannot be loaded again after a new install. */
async function addonLoads(lock) {
  const script = "new (require('better-sqlite3'))(':memory:').close()"
  const cwd = join(root, 'packages', 'core')
  return (await runQuietly(process.execPath, ['-e', script], { lock, cwd })).status === 0
}

async function build(lock) {
  const slow = setTimeout(() => say('building'), 1500)
  for (const script of ['node_modules/typescript/bin/tsc -b', 'scripts/bundle.mjs']) {
    const [path, ...args] = script.split(' ')
    const result = await runQuietly(process.execPath, [join(root, path), ...args], { lock })
    if (result.status !== 0) {
      process.stderr.write(result.output)
      throw new Error('the build failed: correct what is named above, then run this again')
    }
  }
  clearTimeout(slow)
}

function say(what) {
  process.stderr.write(`setting up: ${what}\n`)
}

function fail(message) {
  process.stderr.write(`set-up: ${message}\n`)
  process.exit(1)
}
