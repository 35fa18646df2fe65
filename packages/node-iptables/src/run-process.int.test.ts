import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runProcess, searchPath } from './run-process.js'

const node = (script: string): readonly string[] => [process.execPath, '-e', script]

describe('a process', () => {
  it('gives its output, its complaints and its exit status, and failing is not an error', async () => {
    const argv = ['sh', '-c', 'cat; echo no >&2; exit 3']
    expect(await runProcess({ argv, input: ['a', 'é\n'] })).toEqual({
      argv,
      exitCode: 3,
      signal: null,
      stdout: 'aé\n',
      stderr: 'no\n',
    })
  })

  it('is given its arguments as they are, past no shell', async () => {
    const { stdout } = await runProcess({ argv: ['printf', '%s|', '$HOME', '; ls', '*', ''] })
    expect(stdout).toBe('$HOME|; ls|*||')
  })

  it('speaks English whatever the environment says', async () => {
    const { stdout } = await runProcess({ argv: ['sh', '-c', 'echo $LC_ALL $X'], env: { LC_ALL: 'de_DE', X: 'y' } })
    expect(stdout).toBe('C y\n')
  })

  it('tells its number as it starts', async () => {
    const started: number[] = []
    const { stdout } = await runProcess({ argv: ['sh', '-c', 'echo $$'], onStart: (pid) => started.push(pid) })
    expect(started).toEqual([Number(stdout)])
  })

  it('is asked for input no faster than it reads', async () => {
    let given = 0
    const givenSoFar = (): number => given
    const stuck = new AbortController()
    function* endless(): Generator<string> {
      for (;;) {
        given += 1
        yield 'x'.repeat(1024)
        if (given > 10_000) throw new Error('the input ran ahead')
      }
    }
    const run = runProcess({ argv: node('setInterval(() => {}, 1000)'), input: endless(), signal: stuck.signal })
    while (givenSoFar() < 64) await setImmediate()
    for (let turn = 0; turn < 1000; turn += 1) await setImmediate()
    expect(given).toBeLessThan(1000)
    stuck.abort()
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('that reads faster than it is written to leaves others their turn', async () => {
    const piece = 'x'.repeat(64 * 1024)
    let sinceTurn = 0
    let most = 0
    const over = new AbortController()
    function* input(): Generator<string> {
      for (let given = 0; given < 1000; given += 1) {
        most = Math.max(most, (sinceTurn += 1))
        yield piece
      }
    }
    const others = async (): Promise<void> => {
      while (!over.signal.aborted) {
        await setImmediate()
        sinceTurn = 0
      }
    }
    const counting = others()
    await runProcess({ argv: ['sh', '-c', 'cat > /dev/null'], input: input() })
    over.abort()
    await counting
    expect(most).toBeLessThan(4)
  })

  it('may end before its input does', async () => {
    async function* never(): AsyncGenerator<string> {
      yield 'x'
      await new Promise(() => undefined)
    }
    expect(await runProcess({ argv: ['sh', '-c', 'exit 1'], input: never() })).toMatchObject({ exitCode: 1 })
  })

  it('waits while its output is taken', async () => {
    const order: string[] = []
    await runProcess({
      argv: ['sh', '-c', 'echo a'],
      onOutput: async (piece) => {
        await setImmediate()
        order.push(piece)
      },
    })
    expect(order).toEqual(['a\n'])
  })

  it.each([
    ['that does not exist', { argv: ['/nonexistent/iptables'] }, 'NOT_FOUND'],
    ['that may not be executed', { argv: ['/etc/passwd'] }, 'CANNOT_START'],
    ['that takes too long', { argv: ['sleep', '1000'], timeoutMs: 50 }, 'TIMED_OUT'],
    ['that was aborted before it began', { argv: ['sleep', '1000'], signal: AbortSignal.abort() }, 'ABORTED'],
    ['that prints too much', { argv: ['yes'], maxOutputBytes: 1000 }, 'OUTPUT_TOO_LONG'],
    ['that prints too many bytes', { argv: ['printf', 'é€'], maxOutputBytes: 4 }, 'OUTPUT_TOO_LONG'],
  ])('%s is an error with a code', async (_, request, code) => {
    await expect(runProcess(request)).rejects.toMatchObject({ name: 'IptablesError', code, argv: request.argv })
  })

  it('may print as many bytes as the limit', async () => {
    expect((await runProcess({ argv: ['printf', 'é€'], maxOutputBytes: 5 })).stdout).toBe('é€')
  })

  it('is ended with all that it started', async () => {
    const abort = new AbortController()
    let pid = 0
    const run = runProcess({
      argv: ['sh', '-c', 'sleep 1000 & echo $!; wait'],
      signal: abort.signal,
      onOutput: (piece) => {
        pid = Number(piece)
        abort.abort()
      },
    })
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' })
    await expect.poll(async () => (await runProcess({ argv: ['cat', `/proc/${pid}/cmdline`] })).stdout).toBe('')
  })

  it('fails with what its input fails with', async () => {
    function* broken(): Generator<string> {
      yield 'a'
      throw new Error('no more rules')
    }
    await expect(runProcess({ argv: ['cat'], input: broken() })).rejects.toThrow('no more rules')
  })
})

it('that no file descriptors are left for cannot be started, for this reason, and can be once there are some', () => {
  const script = `
    import { closeSync, openSync } from 'node:fs'
    import { runProcess } from ${JSON.stringify(new URL('../dist/run-process.js', import.meta.url).href)}
    const held = []
    try { for (;;) held.push(openSync('/dev/null')) } catch {}
    const failed = await runProcess({ argv: ['true'] }).catch(({ code, message }) => code + ' ' + message)
    for (const file of held) closeSync(file)
    const { exitCode } = await runProcess({ argv: ['true'] })
    console.log(JSON.stringify({ failed, exitCode }))`
  const argv = ['-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, '--input-type=module', '--eval', script]
  expect(JSON.parse(execFileSync('sh', argv, { encoding: 'utf8' }))).toEqual({
    failed: expect.stringMatching(
      /^CANNOT_START true: .*EMFILE: this process has too many open files, raise RLIMIT_NOFILE/,
    ),
    exitCode: 0,
  })
})

const PATH = process.env['PATH']
afterEach(() => {
  process.env['PATH'] = PATH
  delete process.env['XTABLES_LIBDIR']
})

describe('the environment of a process', () => {
  it('is PATH and LC_ALL, whose it is, and what the caller gives, and nothing else of its own process', async () => {
    process.env['XTABLES_LIBDIR'] = '/home/somebody/libraries'
    const { stdout } = await runProcess({ argv: ['env'], env: { XTABLES_LOCKFILE: '/x.lock' } })
    expect(stdout.trimEnd().split('\n').sort()).toEqual([
      'LC_ALL=C',
      expect.stringMatching(/^NODE_IPTABLES_OWNER=[\d/]+$/),
      `PATH=${searchPath()}`,
      'XTABLES_LOCKFILE=/x.lock',
    ])
  })

  it('leads to the folders of the system where PATH leads to none', async () => {
    delete process.env['PATH']
    expect((await runProcess({ argv: ['sh', '-c', 'echo $PATH'] })).stdout).toBe('/usr/sbin:/usr/bin:/sbin:/bin\n')
  })
})

describe('executables are looked for', () => {
  const SYSTEM = '/usr/sbin:/usr/bin:/sbin:/bin'
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'search-path-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const made = (name: string, mode = 0o755): string => {
    const path = join(folder, name)
    mkdirSync(path, { recursive: true })
    chmodSync(path, mode)
    return path
  }

  it('in PATH, in its order, and then where systems have them', () => {
    const [one, other] = [made('one'), made('other')]
    expect(searchPath(`${other}:/bin:${one}:${other}`)).toBe(`${other}:/bin:${one}:/usr/sbin:/usr/bin:/sbin`)
  })

  it.each([
    ['the present folder', () => ':.:bin'],
    ['a folder that is not there', () => join(folder, 'nothing')],
    ['a file', () => '/etc/passwd/x'],
    ['a folder that the group may write', () => made('group', 0o775)],
    ['a folder that all may write', () => made('all', 0o777)],
    ['a sticky folder that all may write', () => made('sticky', 0o1777)],
    ['a folder below one that all may write', () => made('all/own') && (made('all', 0o777), join(folder, 'all/own'))],
    [
      'a link to a folder that all may write',
      () => (symlinkSync(made('all', 0o777), join(folder, 'link')), join(folder, 'link')),
    ],
    [
      'a link that all may turn elsewhere',
      () => (
        made('all'),
        symlinkSync(made('own'), join(folder, 'all/link')),
        made('all', 0o777),
        join(folder, 'all/link')
      ),
    ],
    [
      'a link that leads through a link that all may turn elsewhere',
      () => {
        symlinkSync(made('own'), join(made('all'), 'inner'))
        symlinkSync(join(made('all', 0o777), 'inner'), join(folder, 'outer'))
        return join(folder, 'outer')
      },
    ],
    ['a link to itself', () => (symlinkSync('loop', join(folder, 'loop')), join(folder, 'loop'))],
  ])('not in %s', (_, path) => {
    expect(searchPath(path())).toBe(SYSTEM)
  })

  it("below a sticky folder, and through links of root or one's own", () => {
    made('sticky/own')
    made('sticky', 0o1777)
    symlinkSync('sticky/own', join(folder, 'link'))
    expect(searchPath(join(folder, 'link'))).toBe(`${join(folder, 'link')}:${SYSTEM}`)
  })

  it.runIf(process.geteuid?.() === 0)('not in a folder, or through a link, of another user', () => {
    const other = made('other')
    chownSync(other, 1000, 1000)
    expect(searchPath(other)).toBe(SYSTEM)
    mkdirSync(join(other, 'own'))
    expect(searchPath(join(other, 'own'))).toBe(SYSTEM)
  })

  it('where the caller says, whoever may write there', async () => {
    const path = made('all', 0o777)
    writeFileSync(join(path, 'iptables'), '#!/bin/sh\necho mine\n', { mode: 0o755 })
    expect((await runProcess({ argv: ['iptables'], env: { PATH: path } })).stdout).toBe('mine\n')
    process.env['PATH'] = `${path}:${process.env['PATH']}`
    expect((await runProcess({ argv: ['sh', '-c', 'command -v iptables'] })).stdout).not.toContain(path)
  })
})
