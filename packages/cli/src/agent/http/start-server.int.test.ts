import { afterEach, describe, expect, it, vi } from 'vitest'
import type { CliError } from '../../errors.js'
import { type Handler, type RunningServer, type ServerOptions, startServer, textAnswer } from './http-server.js'
import { createConnectionLimit } from './connection-limit.js'
import { ask, freePort, holdPort, letGo } from './test-support/ask.js'

const running: RunningServer[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()))
})

function start(options: Partial<ServerOptions> = {}): RunningServer & { readonly told: readonly CliError[] } {
  const told: CliError[] = []
  const server = startServer({
    name: 'health',
    field: 'healthzBindAddress',
    address: { host: '127.0.0.1', port: 0 },
    handler: ({ method, path, peer }) => textAnswer(200, `${method} ${path} from ${peer}`),
    hardFail: false,
    connections: createConnectionLimit({ maxConnections: 100 }),
    onRetry: (error) => told.push(error),
    retryMs: 10,
    ...options,
  })
  running.push(server)
  return { ...server, told }
}

describe('a server', () => {
  it('answers with what the handler says', async () => {
    const port = await start().listening
    const { status, headers, body } = await ask(port, '/some/path?query')
    expect([status, body]).toEqual([200, 'GET /some/path from 127.0.0.1'])
    expect(headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' })
    expect(await ask(port, '/', { method: 'HEAD' })).toMatchObject({ body: '', headers: { 'content-length': '21' } })
    expect(await ask(port, '//x//y')).toMatchObject({ body: 'GET /x//y from 127.0.0.1' })
  })

  it.each(['0.0.0.0', '::'])('on %s answers on all addresses of both families', async (host) => {
    const port = await start({ address: { host, port: 0 } }).listening
    for (const address of ['127.0.0.1', '127.0.0.2', '::1'])
      expect(await ask(port, '/', { host: address })).toMatchObject({ status: 200 })
  })

  it('answers on its own address alone', async () => {
    const port = await start({ address: { host: '127.0.0.2', port: 0 } }).listening
    expect(await ask(port, '/', { host: '127.0.0.2' })).toMatchObject({ status: 200 })
    await expect(ask(port, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const six = await start({ address: { host: '::1', port: 0 } }).listening
    expect(await ask(six, '/', { host: '::1' })).toMatchObject({ body: 'GET / from ::1' })
  })

  it('goes on when an answer cannot be made', async () => {
    const handler = vi.fn<Handler>(() => textAnswer(200, 'fine'))
    handler.mockImplementationOnce(() => {
      throw new Error('no such\nthing')
    })
    const port = await start({ handler }).listening
    expect(await ask(port, '/')).toMatchObject({ status: 500, body: 'no such; thing\n' })
    expect(await ask(port, '/')).toMatchObject({ status: 200, body: 'fine' })
  })

  it('gives its port back when it is closed, whoever is still connected', async () => {
    const connected = vi.fn<() => void>()
    const server = start({ handler: () => (connected(), new Promise(() => undefined)) })
    const port = await server.listening
    const hanging = ask(port, '/').catch((error: unknown) => error)
    await vi.waitFor(() => expect(connected).toHaveBeenCalledOnce(), { timeout: 20_000 })
    await server.close()
    expect(await hanging).toMatchObject({ code: 'ECONNRESET' })
    await letGo((await holdPort(port)).server)
  })
})

describe('a port that is taken', () => {
  it('is waited for, and each attempt is told in a line', async () => {
    const { port, server } = await holdPort()
    const { listening, told } = start({ address: { host: '127.0.0.1', port } })
    await vi.waitFor(() => expect(told.length).toBeGreaterThan(1), { timeout: 20_000 })
    expect(told[0]).toMatchObject({
      code: 'CANNOT',
      message: `cannot serve health on 127.0.0.1:${port}: another process has the port; free it or change healthzBindAddress`,
    })
    await letGo(server)
    expect(await listening).toBe(port)
    expect(await ask(port, '/')).toMatchObject({ status: 200 })
  })

  it('is the end where that is asked for', async () => {
    const { port, server } = await holdPort()
    const { listening, told } = start({ address: { host: '127.0.0.1', port }, hardFail: true })
    await expect(listening).rejects.toMatchObject({ code: 'CANNOT', exitStatus: 3 })
    expect(told).toEqual([])
    await letGo(server)
  })

  it('is waited for no longer once the server is closed', async () => {
    const { port, server } = await holdPort()
    const closed = start({ address: { host: '127.0.0.1', port } })
    await vi.waitFor(() => expect(closed.told.length).toBeGreaterThan(0), { timeout: 20_000 })
    await closed.close()
    const attempts = closed.told.length
    const other = start({ address: { host: '127.0.0.1', port } })
    await vi.waitFor(() => expect(other.told.length).toBeGreaterThan(3), { timeout: 20_000 })
    expect(closed.told).toHaveLength(attempts)
    await letGo(server)
    expect(await other.listening).toBe(port)
  })

  it('is given back by a server that is closed while it begins', async () => {
    const port = await freePort()
    await start({ address: { host: '127.0.0.1', port } }).close()
    await letGo((await holdPort(port)).server)
    await expect(ask(port, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('is told apart from an address that the machine does not have', async () => {
    const { listening } = start({ address: { host: '203.0.113.7', port: await freePort() }, hardFail: true })
    await expect(listening).rejects.toThrow(/203\.0\.113\.7:\d+: this machine has no such address/)
  })
})
