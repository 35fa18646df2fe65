import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { POINTSMAN, runPointsmanProcess } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'
import { readTree } from '../support/source-tree.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsmanProcess(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const { stdout: helpText } = await runPointsmanProcess(['--help'])
const COMMANDS = [...helpText.matchAll(/^ {2}([a-z]+) /gm)]
  .map((match) => match[1] ?? '')
  .filter((name) => name !== 'pointsman' && name !== 'help')

/** Options that the source refuses as not built. */
const UNBUILT = readTree()
  .filter(({ path }) => path.startsWith('packages/cli/src/') && !path.endsWith('.test.ts'))
  .flatMap(({ text }) => [...text.matchAll(/(--[a-z-]+)(?: \S+)? is not built/g)].map(([, flag = '']) => flag))

describe('help', () => {
  test('lists every command', () => {
    expect(COMMANDS).toEqual(expect.arrayContaining(['import', 'replay', 'services', 'completion']))
  })

  test.each(COMMANDS)('of %s is on standard output and has an example', async (command) => {
    const { status, stdout, stderr } = await runPointsmanProcess([command, '--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`\\nExamples:\\n[^]*pointsman ${command}\\b`))
    // What is refused as unbuilt is no option yet.
    expect(stdout).not.toMatch(/not built|reserved/)
    for (const flag of UNBUILT) expect(stdout).not.toMatch(new RegExp(`^ +${flag}\\b`, 'm'))
  })

  test('leaves out what is refused as unbuilt', () => {
    expect(UNBUILT).toEqual([])
  })

  test('without a command is an error', async () => {
    expect(await runPointsmanProcess([])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('Usage: pointsman') as string,
    })
  })
})

test('--version prints the version', async () => {
  expect(await runPointsmanProcess(['--version'])).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
  })
})

describe('a mistake ends with status 2 and one line that says what to do', () => {
  test.each([
    [['sevices'], "error: unknown command 'sevices' (Did you mean services?); --help has examples\n"],
    [['services', '--lgo', 'x'], "error: unknown option '--lgo' (Did you mean --log?); --help has examples\n"],
    [
      ['services', '-o', 'yaml', '--log', log],
      "error: option '-o, --output <format>' argument 'yaml' is invalid. Allowed choices are text, wide, json, jsonl; --help has examples\n",
    ],
    [
      ['services'],
      'error: no log given: use --log FILE or set POINTSMAN_LOG; `pointsman import RECORDING --log FILE` creates one\n',
    ],
    [
      ['services', '--log', '/nowhere/x.db'],
      /^error: \/nowhere\/x\.db: no such file: give the path of a change log, or create one with `pointsman import`.*\n$/,
    ],
    [
      ['services', '--log', log, '--node', 'node-z'],
      /^error: --node node-z is not in the input, which has node-a, node-b, node-c, node-d: did you mean node-a\?\n$/,
    ],
    [['import'], "error: missing required argument 'files'; --help has examples\n"],
    [
      ['replay', log, '--speed', 'fast'],
      'error: --speed fast is not a speed: give a factor such as 1, 10 or 0.5, or max\n',
    ],
    [
      ['replay', log, '--record', log, '--cluster-cidr', '10.0.0.0/8'],
      `error: --record ${log} is the log being replayed: give another file\n`,
    ],
    [['replay', log, '--cluster-cidr', 'nope'], 'error: --cluster-cidr "nope" is not a CIDR such as 10.244.0.0/16\n'],
    [
      ['replay', log, '--iptables-min-sync-period', '5'],
      /^error: --iptables-min-sync-period "5" is not a duration such as 30s or 1m0s\n$/,
    ],
    [['completion', 'tcsh'], /^error: .*Allowed choices are bash, zsh, fish; --help has examples\n$/],
  ])('%j', async (args, message) => {
    const { status, stdout, stderr } = await runPointsmanProcess(args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    if (typeof message === 'string') expect(stderr).toBe(message)
    else expect(stderr).toMatch(message)
  })
})

test('what was not found ends with status 1', async () => {
  expect(await runPointsmanProcess(['services', 'chekout', '--log', log])).toMatchObject({
    status: 1,
    stdout: '',
    stderr: 'error: service chekout not found at seq 128: did you mean checkout?\n',
  })
})

test('a damaged log ends with status 3 and one line', async () => {
  const damaged = folder.path('damaged.db')
  const bytes = readFileSync(log)
  bytes.fill(0xff, 4096, bytes.length)
  writeFileSync(damaged, bytes)
  const { status, stderr } = await runPointsmanProcess(['services', '--log', damaged])
  expect(status).toBe(3)
  expect(stderr).toMatch(/^error: .*damaged\.db: the log is damaged: .*\n$/)
})

test('a reader that closes the pipe early is no failure', async () => {
  const child = spawn(process.execPath, [POINTSMAN, 'services', '--wide', '--log', log])
  child.stdout.destroy()
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

describe('completion', () => {
  test('of bash completes commands, options, and the values of options', async () => {
    const { stdout } = await runPointsmanProcess(['completion', 'bash'])
    const script = folder.path('completion.bash')
    const ask = (words: string): string =>
      `COMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1)); _pointsman; echo "\${COMPREPLY[@]}"`
    writeFileSync(
      script,
      [stdout, ask('pointsman ser'), ask('pointsman services --a'), ask('pointsman replay -o ""')].join('\n'),
    )
    const child = spawn('bash', ['--norc', script])
    let answer = ''
    child.stdout.on('data', (text: Buffer) => (answer += text.toString()))
    await once(child, 'close')
    expect(answer).toBe('services\n--at --applied\ntext json\n')
  })

  test.each(['bash', 'zsh', 'fish'])('of %s knows every command', async (shell) => {
    const { stdout } = await runPointsmanProcess(['completion', shell])
    for (const command of COMMANDS) expect(stdout).toContain(command)
  })
})
