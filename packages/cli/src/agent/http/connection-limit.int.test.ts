import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { closeServer, httpServer, listen, textAnswer } from './http-server.js'
import { createConnectionLimit, descriptorShares } from './connection-limit.js'
import { ask } from './test-support/ask.js'

const servers: Server[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(servers.splice(0).map(closeServer))
})

function limited(maxConnections: number, more: { readonly answerMs?: number } = {}) {
  let at = 0
  const told: string[] = []
  const limit = createConnectionLimit({
    maxConnections,
    onFull: (message) => told.push(message),
    now: () => (at += 1),
    ...more,
  })
  const serve = async (body = 'fine'): Promise<number> => {
    const server = httpServer(() => textAnswer(200, body), limit)
    servers.push(server)
    await listen(server, { host: '127.0.0.1', port: 0 })
    return (server.address() as AddressInfo).port
  }
  return { limit, told, serve, pass: (ms: number) => void (at += ms) }
}

async function hold(port: number): Promise<Socket & { readonly gone: Promise<unknown> }> {
  const socket = connect({ port, host: '127.0.0.1' })
  sockets.push(socket)
  socket.on('error', () => undefined)
  // A byte that is written meanwhile may end in an error: the socket is gone then as well.
  const gone = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'connect')
  return Object.assign(socket, { gone })
}

describe('connections to all ports together', () => {
  it('are held to a number, and one that is too many is answered: the longest idle one goes', async () => {
    const { limit, told, serve, pass } = limited(4)
    const [one, other] = [await serve(), await serve()]
    const held = [await hold(one), await hold(other), await hold(one), await hold(other)]
    await expect.poll(() => limit.open()).toBe(4)
    pass(5000)
    expect(await ask(other, '/')).toMatchObject({ body: 'fine' })
    await held[0]?.gone
    expect(held.map(({ readableEnded, destroyed }) => readableEnded || destroyed)).toEqual([true, false, false, false])
    expect(limit.open()).toBeLessThanOrEqual(4)
    expect(told).toEqual([expect.stringMatching(/^the HTTP ports reached their limit of 4 connections: /)])
  })

  it('leave every probe its answer while ten times as many are opened', async () => {
    const { limit, serve } = limited(8)
    const port = await serve()
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 8 }, () => hold(port)))
      expect(await ask(port, '/')).toMatchObject({ body: 'fine' })
    }
    expect(limit.open()).toBeLessThanOrEqual(8)
  })

  it('are closed where a client does not read its answer', async () => {
    const { limit, serve } = limited(4, { answerMs: 50 })
    const socket = await hold(await serve('x'.repeat(16 * 1024 * 1024)))
    socket.pause()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
    await expect.poll(() => limit.open(), { timeout: 10_000 }).toBe(0)
  })
})

it(
  'a connection that asks for nothing, or never ends what it asks, is closed within seconds',
  { timeout: 30_000 },
  async () => {
    const { limit, serve } = limited(4)
    const port = await serve()
    const begun = [
      '',
      'GET / HTTP/1.1\r\nHost: x\r\nX: ',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx',
    ]
    const held = await Promise.all(
      begun.map(async (text) => {
        const socket = await hold(port)
        socket.write(text)
        return { text, socket }
      }),
    )
    await expect.poll(() => limit.open()).toBe(3)
    await Promise.all(
      held.map(async ({ text, socket }) => {
        // A byte now and then does not help it.
        const drip = setInterval(() => text !== '' && socket.write('x'), 500)
        // The end of a connection is seen where it is read.
        socket.resume()
        await socket.gone
        clearInterval(drip)
      }),
    )
    await expect.poll(() => limit.open()).toBe(0)
  },
)

it.each([
  [64, { connections: 16, listeners: 25, held: 12 }],
  [1024, { connections: 256, listeners: 409, held: 204 }],
  [1_048_576, { connections: 512, listeners: 30_000, held: 30_000 }],
  [undefined, { connections: 512, listeners: 30_000, held: 30_000 }],
])('of %s file descriptors HTTP ports take at most %j', (maxFiles, shares) => {
  expect(descriptorShares(maxFiles)).toEqual(shares)
})
