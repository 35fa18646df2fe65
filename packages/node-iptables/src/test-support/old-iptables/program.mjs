// node program.mjs VERSION FOLDER NAME ARGUMENT...
//
// Stands in for one executable of an old iptables: see ../old-iptables.ts.
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { changeTable } from './change-table.mjs'
import { Failure } from './failure.mjs'
import { isLocked, lock, unlock } from './lock.mjs'
import { readTables, writeTables } from './tables.mjs'
import { restore } from './restore.mjs'
import { saved } from './save.mjs'

/**
 * What the executable `name` of a version does with the tables in a folder: `{ exitCode, stdout, stderr }`. A lock that it took is
 * released.
 */
export function runProgram({ version, folder, name, args, readInput }) {
  let complaint = ''
  const number = version
    .replace(/-.*/, '')
    .split('.')
    .reduce((sum, part) => sum * 1000 + Number(part), 0)
  const hasBackports = version.endsWith('-backports')

  /** What this version could: from its change log and its sources. */
  const can = {
    check: number >= 1_004_011,
    wait: number >= 1_004_020,
    waitSeconds: number >= 1_004_022 || hasBackports,
    restoreWait: number >= 1_006_002 || hasBackports,
    lockFile: number >= 1_006_000 || hasBackports,
  }
  const files = { lock: join(folder, 'xtables.lock'), socket: join(folder, 'xtables.socket') }
  const shown = `v${version.replace(/-.*/, '')}${number >= 1_008_000 ? ' (legacy)' : ''}`
  const usage = `Try \`${name} -h' or '${name} --help' for more information.\n`

  try {
    return { exitCode: 0, stdout: main(), stderr: complaint }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { exitCode: error.exitCode, stdout: '', stderr: complaint + error.message }
  } finally {
    unlock()
  }

  function main() {
    const family = name.startsWith('ip6') ? 'IPv6' : 'IPv4'
    if (name.endsWith('-restore')) return runRestore(family)
    if (args[0] === '--version') return `${name} ${shown}\n`
    note()
    return name.endsWith('-save') ? runSave(family) : runChange(family)
  }

  function note() {
    appendFileSync(join(folder, 'calls'), `${isLocked(files.lock) ? 'locked: ' : ''}${[name, ...args].join(' ')}\n`)
  }

  function runSave(family) {
    const table = args.includes('-t') ? args[args.indexOf('-t') + 1] : undefined
    return saved(readTables(folder, family), table)
  }

  function runChange(family) {
    const words = args.includes('-t') ? args : ['-t', 'filter', ...args]
    const wait = waitIn(words)
    if (!can.check && words.includes('-C')) throw new Failure(2, `${name} ${shown}: Unknown arg \`-C'\n${usage}`)
    if (can.wait) lock(can.lockFile ? files.lock : files.socket, wait)
    const tables = readTables(folder, family)
    const output = changeTable(tables, words, { name, shown, usage })
    writeTables(folder, family, tables)
    return output
  }

  /** Takes `-w` and its seconds out of the words. Undefined: do not wait; Infinity: for ever. */
  function waitIn(words) {
    const at = words.indexOf('-w')
    if (at < 0) return number >= 1_008_000 ? Infinity : undefined
    if (!can.wait) throw new Failure(2, `${name} ${shown}: ${unknown('-w')}\n${usage}`)
    const hasSeconds = /^\d+$/.test(words[at + 1] ?? '')
    if (hasSeconds && !can.waitSeconds) throw new Failure(2, `Bad argument \`${words[at + 1]}'\n${usage}`)
    const [, seconds] = words.splice(at, hasSeconds ? 2 : 1)
    return Number(seconds) || Infinity
  }

  const unknown = (option) => (number < 1_004_011 ? `Unknown arg \`${option}'` : `unknown option "${option}"`)

  function runRestore(family) {
    if (args.includes('--version') && can.restoreWait) return `${name} ${shown}\n`
    // Before 1.6.2 an option that is not known is complained of, and the input is read all the same.
    const odd = args.find((arg) => !['--noflush', '-n', '--counters', '-c'].includes(arg))
    const wait = can.restoreWait ? /^--wait=(\d+)$/.exec(odd ?? '')?.[1] : undefined
    if (odd !== undefined && wait === undefined) {
      const text = `${name}: unrecognized option '${odd}'\n${usage}`
      if (number >= 1_006_002) throw new Failure(1, text)
      complaint = text
    }
    const input = readInput()
    if (input === '') return ''
    note()
    if (can.restoreWait) lock(files.lock, wait === undefined ? undefined : Number(wait))
    const tables = readTables(folder, family)
    restore(tables, { input, flush: !args.includes('--noflush'), name, shown, usage })
    writeTables(folder, family, tables)
    return ''
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [version = '', folder = '', name = '', ...args] = process.argv.slice(2)
  const ended = runProgram({ version, folder, name, args, readInput: () => readFileSync(0, 'utf8') })
  process.stdout.write(ended.stdout)
  process.stderr.write(ended.stderr)
  process.exitCode = ended.exitCode
}
