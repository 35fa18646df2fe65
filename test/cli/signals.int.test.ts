import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { COMMAND_NAMES } from '../../packages/cli/src/program.js'
import { POINTSMAN, runPointsmanProcess } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
const large = folder.path('large.db')
const kubeconfig = folder.path('kubeconfig')
const tools = folder.path('tools')
const toolRuns = folder.path('tool-runs')
/** Takes connections and says nothing. */
const silent = createServer((socket) => void socket.on('error', () => undefined).resume())
let connections = 0
silent.on('connection', () => connections++)

beforeAll(async () => {
  await runPointsmanProcess(['import', SHOP_RECORDING, '--log', log])
  await runPointsmanProcess(['import', '-', '--log', large], { input: manyServices() })
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  writeFileSync(kubeconfig, kubeconfigOf(`https://127.0.0.1:${port}`))
  mkdirSync(tools)
  for (const variant of ['', '-nft', '-legacy'])
    for (const family of ['iptables', 'ip6tables'])
      for (const tool of ['', '-save', '-restore']) {
        writeFileSync(join(tools, family + variant + tool), `#!/bin/sh\n: > ${toolRuns}\nexec sleep 60\n`)
        chmodSync(join(tools, family + variant + tool), 0o755)
      }
}, 60_000)
afterAll(() => {
  silent.close()
  folder.remove()
})

/** So many that what is printed of them is more than pipes and buffers take. */
const manyServices = (): string =>
  Array.from({ length: 3000 }, (_, at) =>
    JSON.stringify({
      observedAt: new Date(1_700_000_000_000 + at).toISOString(),
      type: 'ADDED',
      object: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'shop', name: `s${at}`, uid: `uid-${at}`, annotations: { text: 'x'.repeat(200) } },
        spec: { clusterIP: `10.96.${at >> 8}.${at & 255}`, ports: [{ port: 80, protocol: 'TCP' }] },
      },
    }),
  ).join('\n')

const kubeconfigOf = (server: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  })

/** Generous: a busy machine starts a process in seconds. */
const HANG_MS = 20_000
const OBJECTS = fileURLToPath(new URL('../../fixtures/security/01-deep-managed-fields/objects.json', import.meta.url))
const PACKET = 'tcp 10.244.1.9 -> 10.96.0.10:53'

interface Busy {
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Resolves when the command is at what it does not end by itself. */
  readonly begun: (child: ChildProcessWithoutNullStreams) => Promise<unknown>
}

/** Waits for more of its input: all of this was taken, which is more than a pipe holds. */
const reading = (...args: readonly string[]): Busy => ({
  args,
  begun: ({ stdin }) =>
    promisify((text: string, done: (error?: Error | null) => void) => stdin.write(text, done))('\n'.repeat(300_000)),
})

/** Waits for somebody who takes what it prints, and has taken some. */
const printing = (...args: readonly string[]): Busy => ({
  args,
  begun: async ({ stdout }) => {
    await once(stdout, 'data')
    stdout.pause()
  },
})

const waiting = (args: readonly string[], isBegun: (pid: number) => boolean, env = {}): Busy => ({
  args,
  env,
  begun: ({ pid = 0 }) => vi.waitUntil(() => isBegun(pid), { timeout: HANG_MS, interval: 20 }),
})

function hasOpen(pid: number, file: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === file
    } catch {
      // It was closed meanwhile.
      return false
    }
  })
}

const BUSY: readonly Busy[] = [
  reading('run', '--config', '-'),
  waiting(['record', '--kubeconfig', kubeconfig, '--log', folder.path('recorded.db')], () => connections > 0),
  reading('import', '-', '--log', folder.path('imported.db')),
  reading('demo', '--recording', '-'),
  reading('services', '--objects', '-'),
  reading('explain', 'shop/s1', '--objects', '-'),
  reading('rules', 'shop/s1', '--objects', '-'),
  reading('render', '--objects', '-'),
  reading('trace', PACKET, '--rules', '-'),
  reading('audit', '--objects', OBJECTS, '--rules', '-'),
  reading('apply', '-'),
  reading('apply', '-', '--dry-run'),
  waiting(['cleanup', '--dry-run'], () => existsSync(toolRuns), { PATH: `${tools}:${process.env['PATH'] ?? ''}` }),
  waiting(['replay', log, '--speed', '0.001'], (pid) => hasOpen(pid, log)),
  waiting(['log', '--log', log, '--follow'], (pid) => hasOpen(pid, log)),
  printing('log', '--log', large),
  printing('log', '--log', large, '-o', 'jsonl'),
  printing('export', '--log', large),
  printing('services', '--log', large, '-o', 'json'),
]

/** Commands that write nothing are ended in the midst of any step: this one signals itself as it prints, and goes on and on. */
const UNHEEDING: readonly (readonly string[])[] = [
  ['services', '--log', log],
  ['explain', 'kube-system/kube-dns', '--log', log],
  ['rules', 'kube-system/kube-dns', '--log', log],
  ['render', '--log', log],
  ['diff', '1', '20', '--log', log],
  ['blame', '--log', log],
  ['bisect', PACKET, '--log', log],
  ['trace', PACKET, '--log', log],
  ['migrate', '--log', log],
  [
    'audit',
    '--log',
    log,
    '--rules',
    fileURLToPath(new URL('../../fixtures/security/02-terminal-escapes/a3', import.meta.url)),
  ],
  ['completion', 'bash'],
]

/** What goes on until a signal ends it has done what it was asked. */
const UNTIL_ENDED = ['record', '--follow']

const startedWith = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  spawn(process.execPath, [POINTSMAN, ...args], {
    env: { PATH: process.env['PATH'], TMPDIR: folder.path('.'), ...env },
  })

test('each command is asked', () => {
  const asked = [...BUSY.map(({ args }) => args), ...UNHEEDING].map(([name = '']) => name)
  expect([...new Set(asked)].toSorted()).toEqual(COMMAND_NAMES.toSorted())
})

describe.each(['SIGTERM', 'SIGINT'] as const)('%s ends a command within a moment', (signal) => {
  test.each(BUSY.map((busy) => ({ ...busy, name: busy.args.join(' ').replaceAll(folder.path('.'), '').slice(0, 60) })))(
    'that waits: $name',
    async ({ args, env, begun }) => {
      connections = 0
      rmSync(toolRuns, { force: true })
      const child = startedWith(args, env)
      const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
      let stderr = ''
      child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
      child.stdin.on('error', () => undefined)
      const early = ended.then(() => Promise.reject(new Error(`it ended by itself: ${stderr}`)))
      await Promise.race([begun(child), early])
      early.catch(() => undefined)
      child.kill(signal)
      const [status, by] = await Promise.race([ended, hung(child)])
      child.stdout.destroy()
      const asked = [signal, signal === 'SIGTERM' ? 143 : 130]
      expect(by ?? status).toBeOneOf(UNTIL_ENDED.some((word) => args.includes(word)) ? [...asked, 0] : asked)
      expect(stderr).not.toMatch(/^ {4}at /m)
    },
    60_000,
  )

  test.each(UNHEEDING.map((args) => ({ args, name: args[0] })))(
    'in the midst of a step: $name',
    async ({ args }) => {
      const preload = folder.path(`${signal}.mjs`)
      writeFileSync(
        preload,
        `process.stdout.write = () => { process.kill(process.pid, '${signal}'); for (const end = Date.now() + ${HANG_MS}; Date.now() < end; ); }`,
      )
      const child = startedWith(args, { NODE_OPTIONS: `--import=${preload}` })
      let stderr = ''
      child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
      child.stdout.resume()
      const [, by] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
      expect({ by, stderr: by === null ? stderr : '' }).toEqual({ by: signal, stderr: '' })
    },
    60_000,
  )
})

/** Ends a command that a signal did not end. */
async function hung(child: ChildProcessWithoutNullStreams): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, HANG_MS).unref())
  child.kill('SIGKILL')
  throw new Error(`it goes on ${HANG_MS} ms after the signal`)
}

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
    runPointsmanProcess(['trace', 'tcp 10.244.1.9 -> 10.0.0.1:80', '--node-address', '192.168.55.10', '--rules', rules])

  test('2^24 visits, each of which changes nothing', async () => {
    const { status, stdout, stderr } = await trace(hostile('06-trace-exponential-jumps/fan.rules'))
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout).toContain('it goes on to 10.0.0.1:80 unchanged')
    expect(stdout).toMatch(/ C9 as before\n/)
    expect(stdout).toContain('more than 16 deep, which nf_tables refuses')
  }, 60_000)

  test('20,000 chains in a row', async () => {
    const { status, stdout, stderr } = await trace(hostile('10-deep-and-cyclic-input/deepchain.rules'))
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: the chains of filter lead into each other more than 256 deep .*\n$/)
  }, 60_000)
})
