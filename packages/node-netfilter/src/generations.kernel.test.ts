import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createNamespace, describeKernel, type Namespace } from './test-support/namespace.js'
import { startWatching, type PrintedLine, type WatchingProcess } from './test-support/watching-process.js'

let namespace: Namespace
let started: WatchingProcess[]

beforeEach(() => {
  namespace = createNamespace()
  started = []
})
afterEach(async () => {
  for (const watching of started) watching.kill()
  await Promise.all(started.map(({ exit }) => exit))
  namespace.remove()
})

function start(prefix: readonly string[] = namespace.prefix, args: readonly string[] = []): WatchingProcess {
  const watching = startWatching(prefix, args)
  started.push(watching)
  return watching
}

describeKernel('the watch of generations', () => {
  it.each([
    ['iptables-nft', ['iptables-nft', '-N', 'BLUE']],
    ['nft', ['nft', 'add', 'table', 'inet', 'blue']],
  ])('reports a change by %s with its process', async (processName, argv) => {
    const watching = start()
    const { since } = await watching.next()
    const pid = await runInNamespace(argv)

    const found = await watching.next()
    expect(found).toMatchObject({ type: 'generation', id: Number(since) + 1, processName })
    // The kernel numbers it as the first pid namespace does.
    if (readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]') expect(found).toMatchObject({ pid })
  })

  it('reports a commit of 20,001 changes once', async () => {
    const watching = start()
    const { since } = await watching.next()
    const chains = Array.from({ length: 20_000 }, (_, index) => `add chain inet blue c${index}\n`)
    namespace.run(['nft', '-f', '-'], `add table inet blue\n${chains.join('')}`)
    namespace.run(['iptables-nft', '-N', 'BLUE'])

    expect(await watching.next()).toMatchObject({ type: 'generation', id: Number(since) + 1, processName: 'nft' })
    expect(await watching.next()).toMatchObject({ type: 'generation', id: Number(since) + 2 })
  })

  it('accounts for each of 20,001 quick commits, to the last', async () => {
    const watching = start()
    const { since } = await watching.next()
    namespace.run(['iptables-nft-restore', '--noflush'], commits(20_001))

    const last = await generationIn(namespace)
    expect(last).toBe(Number(since) + 20_001)
    await accountFor(watching, { since: Number(since), last })
  })

  it('says what it missed while the process was held up, and goes on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'node-netfilter-'))
    try {
      const watching = start(namespace.prefix, ['4096'])
      const { since } = await watching.next()
      watching.say(`hold ${folder}/release`)
      expect(await watching.next()).toEqual({ type: 'holding' })
      namespace.run(['iptables-nft-restore', '--noflush'], commits(1000))
      const last = await generationIn(namespace)
      writeFileSync(join(folder, 'release'), '')

      const lines = await accountFor(watching, { since: Number(since), last })
      expect(lines.filter(({ type }) => type === 'missed')).not.toEqual([])
      namespace.run(['nft', 'add', 'table', 'inet', 'blue'])
      expect(await watching.next()).toMatchObject({ type: 'generation', id: last + 1, processName: 'nft' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('sees its own network namespace alone', async () => {
    const other = createNamespace()
    try {
      const watching = start()
      const { since } = await watching.next()
      other.run(['nft', 'add', 'table', 'inet', 'blue'])
      namespace.run(['iptables-nft', '-N', 'BLUE'])
      expect(await watching.next()).toMatchObject({ id: Number(since) + 1, processName: 'iptables-nft' })
    } finally {
      other.remove()
    }
  })

  it.each(['close', 'abort'])('keeps nothing running after %s', async (end) => {
    const watching = start()
    await watching.next()
    watching.say(end)
    expect(await watching.next()).toEqual({ type: 'ended' })
    expect(await watching.exit).toBe(0)
  })

  it('ends with what a callback throws', async () => {
    const watching = start()
    await watching.next()
    watching.say('throw')
    // Its answer comes after the line before was read.
    await ask(watching)
    namespace.run(['iptables-nft', '-N', 'BLUE'])
    expect(await watching.next()).toMatchObject({ type: 'failed', code: 'FAILED' })
    expect(await watching.exit).toBe(0)
  })

  it('does not hold up process.exit', async () => {
    const watching = start()
    await watching.next()
    watching.say('exit')
    expect(await watching.exit).toBe(7)
  })

  it('fails with one clear error where it is not permitted', async () => {
    const watching = start([...namespace.prefix, 'setpriv', '--bounding-set', '-all', '--inh-caps', '-all', '--'])
    expect(await watching.next()).toEqual({
      type: 'failed',
      code: 'NO_PERMISSION',
      errno: 1,
      errnoName: 'EPERM',
      message: expect.stringMatching(/^watch of nf_tables: permission denied: run as root, .*\(EPERM\)$/) as string,
    })
    expect(await watching.exit).toBe(0)
  })
})

describeKernel('the generation', () => {
  it('is raised by a change and not by a look, and its namespace is another than the next', async () => {
    const other = createNamespace()
    try {
      const [here, there] = [start(), start(other.prefix)]
      await Promise.all([here.next(), there.next()])
      const first = await ask(here)
      namespace.run(['nft', 'list', 'ruleset'])
      expect(await ask(here)).toEqual(first)
      namespace.run(['nft', 'add', 'table', 'inet', 'blue'])
      expect(await here.next()).toMatchObject({ type: 'generation' })
      expect(await ask(here)).toEqual({ ...first, id: Number(first['id']) + 1 })
      expect((await ask(there))['namespaceCookie']).not.toBe(first['namespaceCookie'])
    } finally {
      for (const watching of started) watching.kill()
      other.remove()
    }
  })
})

/** Input of a restore in which each COMMIT changes something. */
const commits = (count: number): string =>
  Array.from(
    { length: count },
    (_, index) => `*filter\n:FORWARD ${index % 2 === 0 ? 'DROP' : 'ACCEPT'} [0:0]\nCOMMIT\n`,
  ).join('')

async function ask(watching: WatchingProcess): Promise<PrintedLine> {
  watching.say('ask')
  return watching.next()
}

/** As a process that begins now finds it. */
async function generationIn({ prefix }: Namespace): Promise<number> {
  return Number((await start(prefix).next())['since'])
}

/** Reads until `last`: each generation after `since` must have been reported or missed, in order. */
async function accountFor(
  watching: WatchingProcess,
  { since, last }: { readonly since: number; readonly last: number },
): Promise<readonly PrintedLine[]> {
  const lines: PrintedLine[] = []
  let known = since
  while (known < last) {
    const line = await watching.next()
    lines.push(line)
    expect(line).toMatchObject(line.type === 'missed' ? { first: known + 1 } : { type: 'generation', id: known + 1 })
    known = Number(line.type === 'missed' ? line['last'] : line['id'])
  }
  expect(known).toBe(last)
  return lines
}

/** The number of the process, which `ip netns exec` has become. */
async function runInNamespace(argv: readonly string[]): Promise<number | undefined> {
  const child = spawn('ip', [...namespace.prefix.slice(1), ...argv], { stdio: 'inherit' })
  const [status] = (await once(child, 'exit')) as [number | null]
  expect(status).toBe(0)
  return child.pid
}
