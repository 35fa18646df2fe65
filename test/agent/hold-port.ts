import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Holds a TCP port of all addresses, as another process does; `prefix`: words before the command. Gives what frees it. */
export async function holdPort(port: number, prefix: readonly string[]): Promise<() => void> {
  const [program, ...words] = [...prefix, process.execPath, '--eval', HOLD, String(port)]
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return () => void child.kill('SIGKILL')
}

const HOLD = `require('node:net').createServer().listen(process.argv[1], () => console.log('held'))`
