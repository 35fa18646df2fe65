import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Holds a TCP port of all addresses, as another process does. Gives what frees it. */
export async function holdPort(port: number): Promise<() => void> {
  const child = spawn(process.execPath, ['--eval', HOLD, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return () => void child.kill('SIGKILL')
}

const HOLD = `require('node:net').createServer().listen(process.argv[1], () => console.log('held'))`
