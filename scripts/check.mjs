// node scripts/check.mjs
//
// What CI asks of the sources besides the tests: types, lint, format. Runs all three and says what each found; exit
// status 1 when one found something.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './lib/workspace.mjs'

const CHECKS = [
  { name: 'types', command: 'tsc', args: ['-b'] },
  { name: 'types of the tests', command: 'tsc', args: ['-p', 'test'] },
  { name: 'types of the examples', command: 'tsc', args: ['-p', 'packages/node-iptables/examples'] },
  { name: 'lint', command: 'oxlint', args: ['--type-aware'] },
  { name: 'format', command: 'oxfmt', args: ['--check'] },
]

const failed = CHECKS.filter(({ name, command, args }) => {
  const started = Date.now()
  const { status } = spawnSync(join(root, 'node_modules', '.bin', command), args, { cwd: root, stdio: 'inherit' })
  process.stdout.write(`${name}: ${status === 0 ? 'good' : 'findings above'} (${Date.now() - started} ms)\n`)
  return status !== 0
}).map(({ name }) => name)

if (failed.includes('format')) process.stdout.write('npm run format puts the format right\n')
process.exitCode = failed.length === 0 ? 0 : 1
