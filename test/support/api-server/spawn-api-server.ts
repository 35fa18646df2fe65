import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { REMOTE_CALLS } from '../../../packages/core/src/testing/api-server/remote-calls.js'
import type {
  FromServer,
  RemoteApiServer,
  ToServer,
} from '../../../packages/core/src/testing/api-server/remote-calls.js'

type Options = Extract<ToServer, { type: 'start' }>['options']

const MAIN = fileURLToPath(new URL('../../../packages/core/dist/testing/api-server/main.js', import.meta.url))

/**
 * The test API server as a process of its own (`tsc -b` must have been run): its work is not the caller's. It ends with `close`, or with the caller.
 */
export async function spawnApiServer(options: Options = {}): Promise<RemoteApiServer> {
  const child = fork(MAIN, { serialization: 'advanced' })
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  let calls = 0
  const call = (name: Extract<ToServer, { type: 'call' }>['call'], args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      calls += 1
      waiting.set(calls, { resolve, reject })
      const message: ToServer = { type: 'call', id: calls, call: name, args }
      child.send(message, (error) => {
        if (error !== null) reject(error)
      })
    })
  const started = new Promise<Extract<FromServer, { type: 'started' }>>((resolve, reject) => {
    child.on('message', (message) => {
      const said = message as FromServer
      if (said.type === 'started') return resolve(said)
      const asked = waiting.get(said.id)
      waiting.delete(said.id)
      if (said.type === 'error') asked?.reject(new Error(said.message))
      else asked?.resolve(said.result)
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      const gone = new Error(`the test API server has ended: ${code ?? signal}`)
      reject(gone)
      for (const { reject: fail } of waiting.values()) fail(gone)
    })
  })
  child.send({ type: 'start', options } satisfies ToServer)
  const { url, port, token } = await started
  const remote = Object.fromEntries(REMOTE_CALLS.map((name) => [name, (...args: unknown[]) => call(name, args)]))
  return {
    ...(remote as unknown as RemoteApiServer),
    url,
    port,
    token,
    requests: () => call('requests', []) as ReturnType<RemoteApiServer['requests']>,
    async close() {
      await call('close', [])
      child.disconnect()
      if (child.exitCode === null) await once(child, 'exit')
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
