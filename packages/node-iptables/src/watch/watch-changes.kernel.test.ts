import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createIptables } from '../create-iptables.js'
import { IptablesError } from '../iptables-error.js'
import { runProcess } from '../run-process.js'
import { createNamespace, describeKernel, type Namespace } from '../test-support/namespace.js'
import { ownProcesses, processMatchHere } from './watch-generations.js'
import { type CanaryOptions, type MonitorOptions, type TableChange, watchChanges } from './watch-changes.js'

describeKernel('a watch in a namespace of its own', () => {
  let namespace: Namespace
  let changes: TableChange[]
  let errors: unknown[]
  let abort: AbortController
  let watch: Promise<void>

  beforeEach(() => {
    namespace = createNamespace()
    changes = []
    errors = []
    abort = new AbortController()
    watch = Promise.resolve()
  })
  afterEach(async () => {
    abort.abort()
    await watch
    namespace.remove()
  })

  /** Runs what somebody else would, and gives its pid. */
  const other = async (...words: readonly string[]): Promise<number> => {
    const started: number[] = []
    const argv = [...namespace.prefix, ...words]
    const { exitCode, stderr } = await runProcess({ argv, onStart: (pid) => started.push(pid) })
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 })
    return started[0] ?? 0
  }

  const start = (options: { readonly canary?: CanaryOptions; readonly monitor?: MonitorOptions }): void => {
    watch = watchChanges({
      ...options,
      signal: abort.signal,
      onChange: (change) => changes.push(change),
      onError: (error) => errors.push(error),
    })
  }

  const programs = (['nft', 'xtables-monitor'] as const).map((program) => ({ program }))
  describe.each(programs)('with $program', ({ program }) => {
    it("tells another's change and who made it, and nothing of our own", async () => {
      const own = ownProcesses({ run: runProcess })
      const { prefix } = namespace
      const iptables = await createIptables({ family: 'IPv4', variant: 'nft', prefix, run: own.run })
      start({ monitor: { prefix, program, isOwn: own.isOwn } })
      await until(async () => {
        await other('ip6tables-nft', '-A', 'INPUT', '-j', 'ACCEPT')
        return changes.length > 0
      })
      // What came before the first that a monitor prints was not heard.
      expect(changes.slice(0, 2)).toMatchObject([
        { type: 'changes-unseen' },
        { type: 'generation', command: 'ip6tables-nft' },
      ])

      const text = '*nat\n:OURS - [0:0]\n-A OURS -j RETURN\nCOMMIT\n*filter\n:OURS - [0:0]\nCOMMIT\n'
      await iptables.restore({ text, flush: false, counters: false })
      const pid = await other('nft', 'flush', 'table', 'ip', 'nat')
      await until(async () => commandsAfter(changes, 'ip6tables-nft').length > 0)
      expect(commandsAfter(changes, 'ip6tables-nft')).toEqual([{ pid: asKernelHas(pid), command: 'nft' }])
      expect(changes.slice(1).filter(({ type }) => type !== 'generation')).toEqual([])
      expect(errors).toEqual([])
    })

    it('has no process left when it has ended', async () => {
      start({ monitor: { prefix: namespace.prefix, program, isOwn: () => false } })
      await until(async () => {
        await other('iptables-nft', '-A', 'INPUT', '-j', 'ACCEPT')
        return changes.length > 0
      })
      const name = namespace.prefix.at(-1) ?? ''
      expect(await processesIn(name)).toHaveLength(2)
      abort.abort()
      await watch
      expect(await processesIn(name)).toEqual([])
      expect(errors).toEqual([])
    })
  })

  it('reads past what a large restore of our own puts into the tables', async () => {
    const own = ownProcesses({ run: runProcess })
    const { prefix } = namespace
    const iptables = await createIptables({ family: 'IPv4', variant: 'nft', prefix, run: own.run })
    start({ monitor: { prefix, isOwn: own.isOwn } })
    await until(async () => {
      await other('ip6tables-nft', '-A', 'INPUT', '-j', 'ACCEPT')
      return changes.length > 0
    })
    const rules = Array.from({ length: 10_000 }, (_, index) => `-A OURS -p tcp -m tcp --dport ${index + 1} -j RETURN`)
    await iptables.restore({ lines: ['*nat', ':OURS - [0:0]', ...rules, 'COMMIT'], flush: false, counters: false })
    const pid = await other('nft', 'add', 'table', 'inet', 'theirs')
    await until(async () => commandsAfter(changes, 'ip6tables-nft').length > 0)
    expect(commandsAfter(changes, 'ip6tables-nft')).toEqual([{ pid: asKernelHas(pid), command: 'nft' }])
    expect(changes.slice(1).filter(({ type }) => type !== 'generation')).toEqual([])
  })

  it("takes a container's own changes for its own, though the kernel numbers its processes otherwise", async () => {
    const prefix = [...namespace.prefix, 'unshare', '--pid', '--fork']
    const own = ownProcesses({ run: runProcess, match: 'command' })
    const iptables = await createIptables({ family: 'IPv4', variant: 'nft', prefix, run: own.run })
    start({ monitor: { prefix: namespace.prefix, isOwn: own.isOwn } })
    await until(async () => {
      await other('ip6tables-nft', '-A', 'INPUT', '-j', 'ACCEPT')
      return changes.length > 0
    })
    await iptables.restore({ text: '*nat\n:OURS - [0:0]\nCOMMIT\n', flush: false, counters: false })
    const pid = await other('nft', 'add', 'table', 'inet', 'theirs')
    await until(async () => commandsAfter(changes, 'ip6tables-nft').length > 0)
    expect(commandsAfter(changes, 'ip6tables-nft')).toEqual([{ pid: asKernelHas(pid), command: 'nft' }])
  })

  it.each(['nft', 'xtables-monitor'])(
    'leaves no process of %s behind when the process that listens is killed',
    async (program) => {
      const [command, ...args] = [
        'ip',
        ...namespace.prefix.slice(1),
        process.execPath,
        '--input-type=module',
        '--eval',
        LISTENING,
      ]
      const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url))
      const child = spawn(command, [...args, index, program], { stdio: 'ignore' })
      const name = namespace.prefix.at(-1) ?? ''
      const monitors = async (): Promise<number> => {
        const { stdout } = await runProcess({ argv: ['ip', 'netns', 'pids', name] })
        return stdout.trim() === '' ? 0 : stdout.trim().split('\n').length
      }
      // This process, the monitor, and what ties it to this process.
      await until(async () => (await monitors()) >= 3)
      child.kill('SIGKILL')
      await once(child, 'exit')
      await until(async () => (await monitors()) === 0)
      expect(await monitors()).toBe(0)
    },
  )

  it('in a pid namespace tells our own restores from those that another makes at the same time by the same program', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'own-commands-'))
    const argv = [...namespace.prefix, 'unshare', '--pid', '--fork', '--mount-proc', process.execPath]
    const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url))
    const { exitCode, stdout, stderr } = await runProcess({
      argv: [...argv, '--input-type=module', '--eval', RESTORES, index, join(folder, 'links')],
      timeoutMs: 60_000,
    })
    await rm(folder, { recursive: true })
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0, stderr: '' })
    const told = stdout.trim().split('\n')
    expect(told.filter((line) => /^own own-\w{10}$/.test(line))).toHaveLength(20)
    expect(told.filter((line) => line === 'iptables-nft-re')).toHaveLength(20)
    expect(told.filter((line) => !/^(?:own own-\w{10}|iptables-nft-re|nft)$/.test(line))).toEqual([])
  })

  const families = (['nft', 'legacy'] as const).flatMap((variant) =>
    (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
  )
  describe.each(families)('with canaries, $variant, $family', ({ variant, family }) => {
    const executable = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`

    /** A watch that looks all the time, when all its canaries are there. */
    const startWithCanaries = async (rule?: readonly string[]): Promise<void> => {
      const iptables = await createIptables({ family, variant, prefix: namespace.prefix })
      start({ canary: { iptables: [iptables], chain: 'CANARY', rule, intervalMs: 20 } })
      const count = rule === undefined ? 3 : 6
      await until(
        async () => (await iptables.save()).split('\n').filter((line) => /[:A]\s?CANARY/.test(line)).length === count,
      )
    }

    it.each(['nat', 'filter', 'mangle'])('tells that %s was flushed and emptied of chains, once', async (table) => {
      await startWithCanaries()
      await other(executable, '-t', table, '-F')
      await other(executable, '-t', table, '-X')
      await until(async () => changes.length > 0)
      expect(changes).toEqual([{ type: 'canary-gone', family, tables: [table] }])

      const iptables = await createIptables({ family, variant, prefix: namespace.prefix })
      await until(() => iptables.hasChain({ table, chain: 'CANARY' }))
      await other(executable, '-t', table, '-X', 'CANARY')
      await until(async () => changes.length > 1)
      expect(changes.slice(1)).toEqual([{ type: 'canary-gone', family, tables: [table] }])
      expect(errors).toEqual([])
    })

    it('tells of a flush that deletes no chain where the canary has a rule', async () => {
      await startWithCanaries(['-j', 'RETURN'])
      await other(executable, '-t', 'nat', '-F')
      await until(async () => changes.length > 0)
      expect(changes).toEqual([{ type: 'canary-flushed', family, tables: ['nat'] }])
      expect(errors).toEqual([])
    })
  })

  it('goes on when a look fails, and says why', async () => {
    const broken = { now: true }
    const iptables = await createIptables({
      family: 'IPv4',
      variant: 'nft',
      prefix: namespace.prefix,
      run: (request) =>
        runProcess(broken.now && request.argv.includes('CANARY') ? { ...request, argv: ['/nonexistent/ip'] } : request),
    })
    start({ canary: { iptables: [iptables], tables: ['nat'], chain: 'CANARY', intervalMs: 20 } })
    await until(async () => errors.length > 1)
    expect(errors.every((error) => error instanceof IptablesError && error.code === 'NOT_FOUND')).toBe(true)
    broken.now = false
    await until(() => iptables.hasChain({ table: 'nat', chain: 'CANARY' }))
    expect(changes).toEqual([])
  })
})

const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  await expect.poll(isSo, { timeout: 20_000, interval: 10 }).toBe(true)
}

/** In a container, the kernel's number of a process is another one, and not to be had. */
const asKernelHas = (pid: number): unknown => (processMatchHere() === 'pid' ? pid : expect.any(Number))

/** Who made the generations, without those of a command that only waited for the monitor. */
const commandsAfter = (changes: readonly TableChange[], waiting: string) =>
  changes.flatMap((change) =>
    'pid' in change && change.command !== waiting ? [{ pid: change.pid, command: change.command }] : [],
  )

async function processesIn(namespace: string): Promise<readonly string[]> {
  const { stdout } = await runProcess({ argv: ['ip', 'netns', 'pids', namespace] })
  return stdout.split('\n').filter((line) => line !== '')
}

const LISTENING = `
  const [index, program] = process.argv.slice(1)
  const { watchChanges } = await import(index)
  const { signal } = new AbortController()
  const nothing = () => undefined
  await watchChanges({ signal, monitor: { program, isOwn: nothing }, onChange: nothing, onError: nothing })
`

/** Forty restores, every other one our own, two at a time; prints each commit as it is judged. */
const RESTORES = `
  const [index, folder] = process.argv.slice(1)
  const { ownProcesses, runProcess, watchChanges } = await import(index)
  const own = ownProcesses({ run: runProcess, folder })
  const abort = new AbortController()
  let listens
  const listening = new Promise((resolve) => (listens = resolve))
  const tell = (line) => {
    console.log(line)
    if (line === 'nft') abort.abort()
  }
  const watch = watchChanges({
    signal: abort.signal,
    monitor: { isOwn: (found) => (own.isOwn(found) ? (tell('own ' + found.command), true) : false) },
    onChange: ({ command }) => tell(command),
    onError: (error) => { throw error },
    onListening: ({ type }) => type === 'listening' && listens(),
  })
  await listening
  const restore = async (run, chain) => {
    const input = ['*nat\\n:' + chain + ' - [0:0]\\nCOMMIT\\n']
    const { exitCode, stderr } = await run({ argv: ['iptables-nft-restore', '--noflush'], input })
    if (exitCode !== 0) throw new Error(stderr)
  }
  for (let i = 0; i < 20; i++) await Promise.all([restore(own.run, 'A' + i), restore(runProcess, 'B' + i)])
  await runProcess({ argv: ['nft', 'add', 'table', 'inet', 'end'] })
  await watch
`
