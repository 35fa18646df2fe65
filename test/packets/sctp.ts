import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ListeningSocket, Outcome, SentPacket } from './host.js'

/** Answers SCTP on these sockets in a namespace from now on, until the function that it gives is called. */
export async function answerSctp(
  name: string,
  namespace: string,
  sockets: readonly Pick<ListeningSocket, 'address' | 'port'>[],
): Promise<() => Promise<void>> {
  const ports = [...new Set(sockets.map(({ port }) => port))].join(',')
  const addresses = new Set(sockets.map(({ address }) => address))
  const argv = ['netns', 'exec', namespace, 'perl', SCRIPT, 'answer', name, ports, ...addresses]
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', () => resolve())
    void ended.then(() => reject(new Error(`nothing answers SCTP in ${namespace}`)))
  })
  return () => {
    child.kill()
    return ended
  }
}

/** Sends so many first packets from a namespace, one after the other, and tells what became of each. */
export async function sendSctp(
  namespace: string,
  { from = 'any', to, port, timeoutMs }: Omit<SentPacket, 'protocol'>,
  times: number,
): Promise<readonly Outcome[]> {
  const words = [from, to, port, times, timeoutMs / 1000].map(String)
  const { stdout } = await execute('ip', ['netns', 'exec', namespace, 'perl', SCRIPT, 'send', ...words])
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => outcomeOf(line))
}

const execute = promisify(execFile)
const SCRIPT = fileURLToPath(new URL('sctp.pl', import.meta.url))

function outcomeOf(line: string): Outcome {
  const [type = '', host = '', at = '', port, peer = '', sender = ''] = line.split(' ')
  switch (type) {
    case 'answer':
      return { type, host, at, port: Number(port), peer, sender }
    case 'refused':
    case 'no-answer':
      return { type }
    default:
      return { type: 'failed', code: line }
  }
}
