import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { POINTSMAN, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

/** Each chain changes the mark and leads to the next twice: what a trace of it tries is at its bound. */
const FAN = [
  '*filter',
  ':INPUT ACCEPT [0:0]',
  ':FORWARD ACCEPT [0:0]',
  ':OUTPUT ACCEPT [0:0]',
  ...Array.from({ length: 31 }, (_, at) => `:C${at} - [0:0]`),
  '-A FORWARD -j C0',
  ...Array.from({ length: 30 }, (_, at) => [
    `-A C${at} -j MARK --set-xmark ${2 ** at}/0x0`,
    `-A C${at} -j C${at + 1}`,
    `-A C${at} -j C${at + 1}`,
  ]).flat(),
  'COMMIT',
  '',
].join('\n')

const SERVICES = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: Array.from({ length: 10_000 }, (_, at) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'shop', name: `s${at}` },
    spec: { clusterIP: `10.96.${at >> 8}.${at & 255}`, ports: [{ port: 80, protocol: 'TCP' }] },
  })),
})

/** With input, which ends, the command works; without, it waits for more of it, or prints. */
interface Busy {
  readonly args: readonly string[]
  readonly input?: string
}

const BUSY: readonly Busy[] = [
  { args: ['trace', 'tcp 10.244.1.9 -> 10.0.0.1:80', '--rules', '-'], input: FAN },
  { args: ['audit', '--objects', SHOP_RECORDING, '--rules', '-'], input: FAN },
  { args: ['services', '--objects', '-'], input: SERVICES },
  { args: ['explain', 'shop/s1', '--objects', '-'], input: SERVICES },
  { args: ['rules', 'shop/s1', '--objects', '-'], input: SERVICES },
  { args: ['render', '--objects', '-'], input: SERVICES },
  { args: ['apply', '-', '--dry-run'], input: SERVICES },
  { args: ['apply', '-'] },
  { args: ['diff', '--objects', '-', '--to-objects', SHOP_RECORDING] },
  { args: ['blame', '--rules', '-', '--log', log] },
  { args: ['import', '-', '--log', folder.path('import.db')], input: '{"type":"nothing"}\n'.repeat(5000) },
  { args: ['import', '-', '--log', folder.path('wait.db')] },
  { args: ['demo', '--recording', '-'] },
  { args: ['replay', log, '--speed', '0.001'] },
  { args: ['log', '--log', log, '--follow'] },
  { args: ['export', '--log', log] },
  { args: ['bisect', 'tcp 10.244.1.9 -> 10.96.0.10:53', '--log', log] },
  { args: ['run', '--config', '-'] },
]

describe('a signal ends a command within a moment, busy as it may be', () => {
  test.each(
    BUSY.flatMap((busy) =>
      (['SIGTERM', 'SIGINT'] as const).map((signal) => ({ ...busy, signal, name: busy.args.join(' ').slice(0, 40) })),
    ),
  )(
    '$name: $signal',
    async ({ args, input, signal }) => {
      const child = spawn(process.execPath, [POINTSMAN, ...args], {
        env: { PATH: process.env['PATH'], TMPDIR: folder.path('.') },
      })
      const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
      let stderr = ''
      child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
      child.stdout.resume()
      child.stdin.on('error', () => undefined)
      // What a pipe takes at once is little: when all is taken, the command has begun to read or to work.
      const taken = new Promise<void>((resolve) => {
        if (input !== undefined) child.stdin.end(input, () => resolve())
        else if (args.includes('-')) child.stdin.write('\n'.repeat(300_000), () => resolve())
        else child.stdout.once('data', () => resolve())
      })
      await Promise.race([taken, ended, ...(args[0] === 'replay' ? [once(child, 'spawn')] : [])])
      const sentAt = performance.now()
      child.kill(signal)
      const [status, by] = await ended
      expect(performance.now() - sentAt).toBeLessThan(HANG_MS)
      // It may have been done, or have refused what it was asked, before the signal came.
      const asked = signal === 'SIGTERM' ? 143 : 130
      if (by !== null) expect(by).toBe(signal)
      else expect([0, 1, 2, 3, asked]).toContain(status)
      expect(stderr).not.toMatch(/^ {4}at /m)
    },
    60_000,
  )
})

/** Generous: a busy machine starts a process in seconds. */
const HANG_MS = 20_000

test('a reader that closes the pipe early is no failure', async () => {
  const child = spawn('sh', ['-c', `"$0" "$1" log --log "$2" | head -1`, process.execPath, POINTSMAN, log])
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  child.stdout.resume()
  await once(child, 'close')
  expect(stderr).toBe('')
}, 60_000)

/** Hostile files of a review: `expect.txt` beside each says what is right. */
const hostile = (name: string): string => fileURLToPath(new URL(`../../fixtures/security/${name}`, import.meta.url))

describe('rules that lead on and on are answered or refused in time', () => {
  const trace = (rules: string) =>
    runPointsman(['trace', 'tcp 10.244.1.9 -> 10.0.0.1:80', '--node-address', '192.168.55.10', '--rules', rules])

  test('2^24 visits, each of which changes nothing', async () => {
    const { status, stdout, stderr } = await trace(hostile('06-trace-exponential-jumps/fan.rules'))
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toContain('it goes on to 10.0.0.1:80 as it is')
    expect(stdout).toMatch(/ C9 as before\n/)
    expect(stdout).toContain('more than 16 deep, which nf_tables refuses')
  }, 60_000)

  test('20,000 chains in a row', async () => {
    const { status, stdout, stderr } = await trace(hostile('10-deep-and-cyclic-input/deepchain.rules'))
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: the chains of filter lead into each other more than 256 deep .*\n$/)
  }, 60_000)
})
