import { startTestApiServer } from './test-api-server.js'
import type { FromServer, ToServer } from './remote-calls.js'
import type { TestApiServer } from './test-api-server.js'

/*
 * The test server as a process of its own, forked with `serialization: 'advanced'` and told what to do in messages (remote-calls.ts).
 * It ends with whoever forked it. Started by hand, it serves nothing but what it says of itself: a kubeconfig.
 */
let server: TestApiServer | undefined

const send = (message: FromServer): void => {
  process.send?.(message)
}

if (process.send === undefined) {
  server = await startTestApiServer()
  process.stdout.write(server.kubeconfig())
} else {
  process.on('disconnect', () => process.exit(0))
  process.on('message', (message) => void handle(message as ToServer))
}

async function handle(message: ToServer): Promise<void> {
  if (message.type === 'start') {
    server = await startTestApiServer(message.options)
    send({ type: 'started', url: server.url, port: server.port, token: server.token })
    return
  }
  const { id } = message
  try {
    const result: unknown = await answer(message)
    send({ type: 'result', id, result: typeof result === 'function' ? undefined : result })
  } catch (error) {
    send({ type: 'error', id, message: String(error) })
  }
}

function answer({ call, args }: Extract<ToServer, { type: 'call' }>): unknown {
  if (server === undefined) throw new Error('not started')
  if (call === 'requests') return server.requests
  return (server[call] as (...args: readonly unknown[]) => unknown)(...args)
}
