import { spawn } from 'node:child_process'
import { delimiter, dirname } from 'node:path'
import { root } from './workspace.mjs'

/**
 * Runs a command to its end and keeps what it prints: `{ status, output }`. A command that cannot be started has status
 * 127 and says why. The Node that runs this comes first in the PATH, so that npx and build scripts use the same one.
 * A lock that is given learns of the child: should this process be killed, the child still holds the lock until it ends.
 */
export function runQuietly(command, args, { lock, cwd = root, env = process.env }) {
  const path = [dirname(process.execPath), env.PATH ?? ''].join(delimiter)
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...env, PATH: path },
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    if (child.pid !== undefined) lock?.hold(child.pid)
    const printed = []
    child.stdout.on('data', (chunk) => printed.push(chunk))
    child.stderr.on('data', (chunk) => printed.push(chunk))
    child.on('error', (error) => resolve({ status: 127, output: `${command}: ${error.message}\n` }))
    child.on('close', (code) => resolve({ status: code ?? 1, output: Buffer.concat(printed).toString() }))
  })
}
