import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { IptablesError } from './iptables-error.js'
import { ownerMark } from './orphans.js'

export interface RunRequest {
  /** The executable (a path, or a name that `searchPath` leads to) and its arguments. No shell reads them. */
  readonly argv: readonly string[]
  /** The path of what is executed in place of the first word, which the process gets as its name all the same. */
  readonly file?: string | undefined
  /** What the process reads, in pieces of any size; asked for no faster than the process reads. None: an empty input. */
  readonly input?: Iterable<string> | AsyncIterable<string> | undefined
  /** Takes standard output piece by piece, and is waited for; the result's `stdout` is then empty. */
  readonly onOutput?: ((piece: string) => void | Promise<void>) | undefined
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
  /** How much of standard output is kept, in bytes of UTF-8; more is an error. Default: 256 MiB. */
  readonly maxOutputBytes?: number | undefined
  /**
   * The environment, besides LC_ALL, which is always C, so that messages can be matched, and PATH, which is `searchPath()`
   * where none is given here, and a mark by which `endOrphans` finds it. Nothing else of this process's environment is handed on: a process of root loads no library,
   * plugin or configuration that a variable names.
   */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Told the process's number, in the pid namespace of this process, before anything else can come of it. */
  readonly onStart?: ((pid: number) => void) | undefined
}

export interface RunResult {
  readonly argv: readonly string[]
  /** Null where a signal ended the process. */
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  /** Its first 65,536 characters. */
  readonly stderr: string
}

/** How processes are started: a parameter of everything here, so that a caller can log, delegate or stand in. */
export type Run = (request: RunRequest) => Promise<RunResult>

/**
 * Runs one process to its end. A failing exit status is a result, not an error.
 *
 * Fails with an IptablesError: NOT_FOUND, CANNOT_START, TIMED_OUT, ABORTED, OUTPUT_TOO_LONG; and with whatever `input`
 * or `onOutput` throws. When it fails, the process and what it started have been killed.
 */
export async function runProcess(request: RunRequest): Promise<RunResult> {
  const { argv, signal, timeoutMs } = request
  if (signal?.aborted === true) throw new IptablesError('ABORTED', { argv }, { cause: signal.reason })

  const child = start(request)
  if (!hasStreams(child)) {
    const [cause] = (await once(child, 'error')) as [unknown]
    throw toStartError(argv, cause)
  }
  if (child.pid !== undefined) request.onStart?.(child.pid)
  let failure: { readonly error: unknown } | undefined
  const fail = (error: unknown): void => {
    failure ??= { error }
    endGroup(child)
  }
  const onAbort = (): void => fail(new IptablesError('ABORTED', { argv }, { cause: signal?.reason }))
  signal?.addEventListener('abort', onAbort)
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => fail(new IptablesError('TIMED_OUT', { argv })), timeoutMs)

  try {
    const exited = exitOf(child)
    const [exit, stdout, stderr] = await Promise.all([
      exited,
      readOutput(child, request).catch(fail),
      readErrors(child).catch(fail),
      // A process may end before its input does, and an input may never end.
      Promise.race([exited, feed(child, request.input).catch(fail)]),
    ])
    if (failure !== undefined) throw failure.error
    return { argv, ...exit, stdout: stdout ?? '', stderr: stderr ?? '' }
  } catch (error) {
    throw failure === undefined ? toStartError(argv, error) : failure.error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

const STDERR_LENGTH = 64 * 1024
const DEFAULT_MAX_OUTPUT_BYTES = 256 * 1024 * 1024
const PIECE_LENGTH = 64 * 1024

function start({ argv, env, file: instead }: RunRequest): ChildProcess {
  const [name = '', ...args] = argv
  try {
    // Its own process group, so that what it starts (a wrapper script's iptables) can be ended with it.
    return spawn(instead ?? name, args, {
      argv0: name,
      detached: true,
      env: { PATH: searchPath(), ...env, ...ownerMark(), LC_ALL: 'C' },
    })
  } catch (error) {
    throw toStartError(argv, error)
  }
}

/** Where no file descriptors are left for its pipes, Node makes a process without streams and tells the cause in an event. */
const hasStreams = (child: ChildProcess): child is ChildProcessWithoutNullStreams =>
  Boolean(child.stdin && child.stdout && child.stderr)

/**
 * Where executables are looked for by their names: the entries of PATH, in their order, that nobody but root and the user of
 * this process can change, then the folders of the system. An entry counts when it is an absolute path, when root or this
 * user owns it and each folder and symbolic link on the way to it, and when no group and no others may write there; a sticky
 * folder (/tmp) on the way may be written by all.
 */
export function searchPath(path = process.env['PATH'] ?? ''): string {
  return [...new Set([...path.split(':').filter(isTrustedFolder), ...SYSTEM_FOLDERS])].join(':')
}

const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']

function isTrustedFolder(folder: string): boolean {
  if (!isAbsolute(folder)) return false
  try {
    if ((statSync(folder).mode & WRITABLE) !== 0) return false
    const trusted = new Set([0, process.geteuid?.(), statSync('/').uid])
    const waiting = [resolve(folder)]
    for (let steps = 0; steps < MOST_STEPS; steps += 1) {
      const place = waiting.pop()
      if (place === undefined) return true
      const found = lstatSync(place)
      if (!trusted.has(found.uid)) return false
      if (found.isSymbolicLink()) waiting.push(resolve(realpathSync(dirname(place)), readlinkSync(place)))
      else if ((found.mode & WRITABLE) !== 0 && (found.mode & STICKY) === 0) return false
      if (place !== '/') waiting.push(dirname(place))
    }
    return false
  } catch {
    // Not there, or not to be looked at: nothing is found in it either.
    return false
  }
}

/** Of a path with its links; a chain of links that never ends is none to trust. */
const MOST_STEPS = 500
const STICKY = 0o1000
/** By the group, by others. */
const WRITABLE = 0o022

async function exitOf(child: ChildProcessWithoutNullStreams): Promise<Pick<RunResult, 'exitCode' | 'signal'>> {
  const [exitCode, signal] = (await once(child, 'exit')) as [number | null, string | null]
  return { exitCode, signal }
}

async function readOutput(
  child: ChildProcessWithoutNullStreams,
  { argv, onOutput, maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES }: RunRequest,
): Promise<string> {
  const pieces: string[] = []
  let bytes = 0
  child.stdout.setEncoding('utf8')
  for await (const piece of piecesOf(child.stdout)) {
    bytes += Buffer.byteLength(piece)
    if (onOutput !== undefined) await onOutput(piece)
    else if (bytes > maxOutputBytes) throw new IptablesError('OUTPUT_TOO_LONG', { argv })
    else pieces.push(piece)
  }
  return pieces.join('')
}

async function readErrors(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = ''
  child.stderr.setEncoding('utf8')
  // What comes after the limit is read and dropped: a process must not wait for us to read its complaints.
  for await (const piece of piecesOf(child.stderr)) if (text.length < STDERR_LENGTH) text += piece
  return text.slice(0, STDERR_LENGTH)
}

/** A stream that ends because its process was killed has simply ended. */
async function* piecesOf(stream: AsyncIterable<unknown>): AsyncGenerator<string> {
  try {
    for await (const piece of stream) yield String(piece)
  } catch (error) {
    if (codeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}

async function feed(child: ChildProcessWithoutNullStreams, input: RunRequest['input']): Promise<void> {
  const { stdin } = child
  // A process that ends before it has read everything says why by its exit status.
  stdin.on('error', () => undefined)
  let held = ''
  for await (const piece of input ?? []) {
    held += piece
    if (held.length < PIECE_LENGTH) continue
    if (!stdin.writable) return
    // Longer than the stream's buffer, so that each write waits for the process.
    if (!stdin.write(held)) await drainedOrClosed(stdin)
    held = ''
    // A process that reads faster than we write never makes us wait: others need their turn all the same.
    await setImmediate()
  }
  stdin.end(held)
}

async function drainedOrClosed(stdin: ChildProcessWithoutNullStreams['stdin']): Promise<void> {
  if (stdin.destroyed) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stdin.off('drain', done)
      stdin.off('close', done)
      resolve()
    }
    stdin.on('drain', done)
    stdin.on('close', done)
  })
}

function endGroup(child: ChildProcessWithoutNullStreams): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left.
  }
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
}

function toStartError(argv: readonly string[], cause: unknown): unknown {
  const code = codeOf(cause)
  if (cause instanceof IptablesError || code === undefined) return cause
  if (code === 'ENOENT') return new IptablesError('NOT_FOUND', { argv }, { cause })
  const detail = [code, ...(code in LIMITS ? [LIMITS[code]] : [])].join(': ')
  return new IptablesError('CANNOT_START', { argv, detail }, { cause })
}

/** What the operating system refuses a process for, and what to do. */
const LIMITS: Readonly<Record<string, string>> = {
  EMFILE: 'this process has too many open files, raise RLIMIT_NOFILE (ulimit -n)',
  ENFILE: 'the machine has too many open files, raise fs.file-max',
  EAGAIN: 'too many processes, raise RLIMIT_NPROC or the pids.max of the cgroup',
  ENOMEM: 'no memory is left',
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
