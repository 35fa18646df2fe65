import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createTestAuthority } from '../../../testing/api-server/test-authority.js'
import type { RequestReport } from './connect-api-server.js'
import { ask, base64, CLIENTS, createWorkshop, listener, running } from './test-support/connection.js'
import { startTlsServer } from './test-support/tls-server.js'

describe.each(CLIENTS)('%s', (client) => {
  const { connect, kubeconfig, server } = createWorkshop(client)
  const QUERY = { path: '/api/v1/services', query: {} }
  /** The agents of client-node keep none. */
  const keepsConnections = client === 'lean' ? [client] : []

  describe('the server is verified', () => {
    it('by the authority of the kubeconfig: another one’s certificate is refused', async () => {
      const to = await server()
      const other = base64(createTestAuthority().certificate)
      const api = await connect({ kubeconfig: kubeconfig(to, { token: 'x' }, { 'certificate-authority-data': other }) })
      await expect(ask(api)).rejects.toMatchObject({
        code: 'TLS_FAILED',
        message: expect.stringMatching(/^https:\/\/127.0.0.1:\d+: TLS verification failed.*certificate/),
      })
      expect(to.seen).toEqual([])
    })

    it('by those that the machine trusts where the kubeconfig names none', async () => {
      const to = await server()
      const path = kubeconfig(to, {}, { 'certificate-authority-data': null })
      await expect(ask(await connect({ kubeconfig: path }))).rejects.toMatchObject({ code: 'TLS_FAILED' })
    })

    it('by its name, or by the one that tls-server-name gives', async () => {
      const to = await server({ names: ['kubernetes.default'] })
      await expect(ask(await connect({ kubeconfig: kubeconfig(to, {}) }))).rejects.toMatchObject({
        code: 'TLS_FAILED',
        message: expect.stringContaining('tls-server-name'),
      })
      const named = kubeconfig(to, {}, { 'tls-server-name': 'kubernetes.default' })
      expect(await ask(await connect({ kubeconfig: named }))).toMatch(/^200/)
      const misnamed = kubeconfig(to, {}, { 'tls-server-name': 'another.default' })
      await expect(ask(await connect({ kubeconfig: misnamed }))).rejects.toMatchObject({ code: 'TLS_FAILED' })
    })

    it('not at all where the kubeconfig says so, with a warning', async () => {
      const to = await server()
      const warnings: string[] = []
      const path = kubeconfig(to, {}, { 'certificate-authority-data': null, 'insecure-skip-tls-verify': true })
      const api = await connect({ kubeconfig: path, onWarning: (message) => warnings.push(message) })
      expect(await ask(api)).toMatch(/^200/)
      expect(warnings).toEqual([expect.stringMatching(/context dev: insecure-skip-tls-verify/)])
    })

    it('and what speaks plain HTTP there is told apart', async () => {
      const plain = await server({ plain: true })
      const path = kubeconfig(plain, {}, { server: plain.url.replace('http:', 'https:') })
      await expect(ask(await connect({ kubeconfig: path }))).rejects.toMatchObject({
        code: 'TLS_FAILED',
        message: expect.stringContaining('plain HTTP'),
      })
    })
  })

  it('plain HTTP is spoken where the address says so, with a warning about credentials', async () => {
    const to = await server({ plain: true })
    const warnings: string[] = []
    const api = await connect({ kubeconfig: kubeconfig(to, { token: 'x' }), onWarning: (text) => warnings.push(text) })
    expect(await ask(api)).toMatch(/^200/)
    expect(warnings).toEqual([expect.stringContaining('plain HTTP')])
  })

  it('a path in the address comes before each request’s, and the query after it', async () => {
    const to = await server()
    const api = await connect({ kubeconfig: kubeconfig(to, {}, { server: `${to.url}/clusters/c1/` }) })
    await api.get({ path: '/api/v1/services', query: { fieldSelector: 'spec.clusterIP!=None', limit: '5' } }, running())
    expect(to.seen[0]?.path).toBe('/clusters/c1/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone&limit=5')
    expect(api.url).toBe(to.url)
  })

  describe('an answer is', () => {
    it('its head, whatever the status, and its body in pieces as they come', async () => {
      let more: (() => void) | undefined
      const to = await server({
        answer(_, response) {
          response.writeHead(410, { 'Retry-After': '7', 'X-Two': ['a', 'b'] })
          response.write('first')
          more = () => response.end('second')
        },
      })
      const { status, headers, body } = await (await connect({ kubeconfig: kubeconfig(to, {}) })).get(QUERY, running())
      expect([status, headers['retry-after'], headers['x-two'], headers['absent']]).toEqual([
        410,
        '7',
        'a, b',
        undefined,
      ])
      const pieces: string[] = []
      for await (const piece of body) {
        pieces.push(Buffer.from(piece).toString())
        more?.()
      }
      expect(pieces).toEqual(['first', 'second'])
    })

    it.each(keepsConnections)('one after the other on one connection', async () => {
      const to = await server()
      const api = await connect({ kubeconfig: kubeconfig(to, {}) })
      await ask(api)
      await ask(api)
      expect(to.seen.map(({ connection }) => connection)).toEqual([1, 1])
    })

    it('asked for again where the server had ended the kept connection', async () => {
      const to = await server()
      const reports: RequestReport[] = []
      const api = await connect({ kubeconfig: kubeconfig(to, {}), onRequest: (report) => reports.push(report) })
      await ask(api)
      to.cut()
      expect(await ask(api)).toMatch(/^200/)
      expect(to.seen.map(({ connection }) => connection)).toEqual([1, 2])
    })
  })

  describe('when nothing answers', () => {
    it('a refused connection is told, and the server is found again when it is back', async () => {
      const to = await server()
      const path = kubeconfig(to, {}, { 'insecure-skip-tls-verify': true, 'certificate-authority-data': null })
      await to.close()
      const api = await connect({ kubeconfig: path })
      await expect(ask(api)).rejects.toMatchObject({
        code: 'UNREACHABLE',
        message: expect.stringMatching(/^https:\/\/127.0.0.1:\d+: .*ECONNREFUSED/),
      })
      const back = await startTlsServer({ port: to.port })
      onTestFinished(() => back.close())
      expect(await ask(api)).toMatch(/^200/)
    })

    it('a name that leads nowhere is told', async () => {
      const to = await server()
      const api = await connect({ kubeconfig: kubeconfig(to, {}, { server: 'https://nobody.invalid:6443' }) })
      await expect(ask(api)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    })

    it('a connection that comes to nothing is waited for no longer than it may be', async () => {
      const silent = await listener(() => undefined)
      const api = await connect({ master: `https://${silent}`, timeouts: { connectMs: 40, headMs: 60_000 } })
      await expect(ask(api)).rejects.toMatchObject({
        code: 'TIMED_OUT',
        message: expect.stringContaining('no connection within 0.04 s'),
      })
    })

    it('the head of an answer is waited for no longer than it may be, and the connection not used again', async () => {
      let silent = true
      const to = await server({ answer: (_, response) => void (silent || response.end('late')) })
      const api = await connect({ kubeconfig: kubeconfig(to, {}), timeouts: { headMs: 500 } })
      await expect(ask(api)).rejects.toMatchObject({
        code: 'TIMED_OUT',
        message: expect.stringContaining('no answer within 0.5 s'),
      })
      silent = false
      expect(await ask(api)).toBe('200 late')
      expect(to.seen.map(({ connection }) => connection)).toEqual([1, 2])
    })

    it.each(keepsConnections)(
      'other connections from before are not used again either: they lead to the same silence',
      async () => {
        let silent = false
        const to = await server({
          answer: ({ connection }, response) => void ((silent && connection <= 2) || response.end('x')),
        })
        const api = await connect({ kubeconfig: kubeconfig(to, {}), timeouts: { headMs: 500 } })
        await Promise.all([ask(api), ask(api)])
        silent = true
        await expect(ask(api)).rejects.toMatchObject({ code: 'TIMED_OUT' })
        expect(await ask(api)).toBe('200 x')
        expect(to.seen.at(-1)?.connection).toBe(3)
      },
    )

    it('a body may take its time once its head is there', async () => {
      const to = await server({
        answer(_, response) {
          response.write('now ')
          setTimeout(() => response.end('then'), 800)
        },
      })
      const api = await connect({ kubeconfig: kubeconfig(to, {}), timeouts: { headMs: 500, connectMs: 500 } })
      expect(await ask(api)).toBe('200 now then')
    })

    it.each([
      ['ends the connection at once', (socket: Socket) => socket.destroy(), 'CONNECTION_LOST'],
      ['says something else', (socket: Socket) => socket.end('220 mail ready\r\n'), 'BAD_ANSWER'],
    ])('a server that %s is told', async (_, serve, code) => {
      const address = await listener(serve)
      await expect(ask(await connect({ master: `http://${address}` }))).rejects.toMatchObject({ code })
    })
  })

  describe('a body that breaks off', () => {
    const bodies = async (raw: string): Promise<unknown> => {
      const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
      const address = await listener((socket) => socket.once('data', () => socket.end(`${head}${raw}`)))
      const api = await connect({ master: `http://${address}` })
      return ask(api).then(undefined, (error: unknown) => error)
    }

    it('is no whole one', async () => {
      expect(await bodies('5\r\nhello\r\n')).toMatchObject({ code: 'CONNECTION_LOST' })
    })

    it('or is no HTTP any more is told', async () => {
      expect(await bodies('5\r\nhello\r\nzz\r\n')).toMatchObject({ code: 'BAD_ANSWER' })
    })

    it('whole, is', async () => {
      expect(await bodies('5\r\nhello\r\n0\r\n\r\n')).toBe('200 hello')
    })
  })

  describe('a request that is given up', () => {
    const reason = new Error('the watcher changed its mind')

    it('before it began is not made', async () => {
      const to = await server()
      const api = await connect({ kubeconfig: kubeconfig(to, {}) })
      await expect(ask(api, '/x', AbortSignal.abort(reason))).rejects.toBe(reason)
      expect(to.seen).toEqual([])
    })

    it('while its answer is waited for rejects with the reason, and ends the connection', async () => {
      const controller = new AbortController()
      let closed: Promise<unknown> | undefined
      const reports: RequestReport[] = []
      const to = await server({
        answer(_, response) {
          closed = once(response, 'close')
          controller.abort(reason)
        },
      })
      const api = await connect({ kubeconfig: kubeconfig(to, {}), onRequest: (report) => reports.push(report) })
      await expect(ask(api, '/x', controller.signal)).rejects.toBe(reason)
      await closed
      expect(reports).toEqual([])
    })

    it('while its body comes rejects with the reason, and ends the connection', async () => {
      const controller = new AbortController()
      let closed: Promise<unknown> | undefined
      const to = await server({
        answer(_, response) {
          closed = once(response, 'close')
          response.write('piece')
        },
      })
      const { body } = await (await connect({ kubeconfig: kubeconfig(to, {}) })).get(QUERY, controller.signal)
      const reading = (async () => {
        for await (const piece of body) controller.abort(piece.length > 0 ? reason : undefined)
      })()
      await expect(reading).rejects.toBe(reason)
      await closed
    })

    it.each([
      ['early', true],
      ['before it began', false],
    ])('by ending the iteration %s ends the connection', async (_, begun) => {
      let closed: Promise<unknown> | undefined
      const to = await server({
        answer(_, response) {
          closed = once(response, 'close')
          response.write('piece')
        },
      })
      const { body } = await (await connect({ kubeconfig: kubeconfig(to, {}) })).get(QUERY, running())
      const iterator = body[Symbol.asyncIterator]()
      if (begun) await iterator.next()
      await iterator.return?.()
      await closed
      expect(to.seen).toHaveLength(1)
    })

    it('as are all, when the connection is closed', async () => {
      const to = await server({ answer: (_, response) => void response.write('piece') })
      const api = await connect({ kubeconfig: kubeconfig(to, {}) })
      const { body } = await api.get(QUERY, running())
      const iterator = body[Symbol.asyncIterator]()
      await iterator.next()
      await api.close()
      await expect(iterator.next()).rejects.toMatchObject({ code: 'CLOSED' })
      await expect(ask(api)).rejects.toMatchObject({ code: 'CLOSED' })
    })
  })

  describe('a write', () => {
    const PATH = '/apis/events.k8s.io/v1/namespaces/default/events'
    const POST = { method: 'POST', path: PATH, body: { kind: 'Event' } } as const

    it('is a POST of JSON or a strategic merge patch, counted by its method, and waits for no limit', async () => {
      const to = await server({
        answer: (_, response) => void response.writeHead(201, { 'Content-Type': 'application/json' }).end('{}'),
      })
      const reports: RequestReport[] = []
      const api = await connect({
        kubeconfig: kubeconfig(to, {}),
        qps: 0.001,
        burst: 1,
        onRequest: (one) => reports.push(one),
      })
      for (const request of [POST, POST, { ...POST, method: 'PATCH', path: `${PATH}/a` } as const])
        expect(await api.write(request, running())).toEqual({ status: 201, message: '' })
      expect(reports.map(({ method }) => method)).toEqual(['POST', 'POST', 'PATCH'])
      if (client === 'lean') expect(new Set(to.seen.map(({ connection }) => connection)).size).toBe(1)
      expect(to.seen.map(({ headers }) => headers['content-type'])).toEqual([
        'application/json',
        'application/json',
        'application/strategic-merge-patch+json',
      ])
    })

    it('that is refused has what the server says of it', async () => {
      const body = JSON.stringify({ kind: 'Status', message: 'events is forbidden' })
      const to = await server({
        answer: (_, response) => void response.writeHead(403, { 'Content-Type': 'application/json' }).end(body),
      })
      const api = await connect({ kubeconfig: kubeconfig(to, {}) })
      expect(await api.write(POST, running())).toEqual({ status: 403, message: 'events is forbidden' })
    })

    it('rejects where nothing answers', async () => {
      const to = await server()
      const api = await connect({ kubeconfig: kubeconfig(to, {}) })
      await to.close()
      await expect(api.write(POST, running())).rejects.toMatchObject({ code: 'UNREACHABLE' })
    })
  })

  describe('requests are counted and held back', () => {
    it('each is told with its status, host and time, or that nothing answered', async () => {
      const to = await server({
        answer: ({ path }, response) => void response.writeHead(path === '/no' ? 403 : 200).end(),
      })
      let time = 0
      const reports: RequestReport[] = []
      const api = await connect({
        kubeconfig: kubeconfig(to, {}),
        now: () => (time += 5),
        onRequest: (report) => reports.push(report),
      })
      await ask(api)
      await ask(api, '/no')
      await to.close()
      await expect(ask(api)).rejects.toThrow('is unreachable')
      const host = `127.0.0.1:${to.port}`
      expect(reports.slice(0, 2)).toEqual([
        { method: 'GET', host, code: '200', durationMs: 5 },
        { method: 'GET', host, code: '403', durationMs: 5 },
      ])
      expect(new Set(reports.slice(2).map(({ code }) => code))).toEqual(new Set(['<error>']))
    })

    it('those beyond the limit wait, watches do not', async () => {
      const to = await server()
      const api = await connect({ kubeconfig: kubeconfig(to, {}), qps: 0.001, burst: 1 })
      await ask(api)
      const waiting = new AbortController()
      const held = ask(api, '/held', waiting.signal)
      for (const watch of ['1', 'true']) await api.get({ path: '/watched', query: { watch } }, running())
      waiting.abort(new Error('waited long enough'))
      await expect(held).rejects.toThrow('waited long enough')
      expect(to.seen.map(({ path }) => path)).toEqual(['/api/v1/services', '/watched?watch=1', '/watched?watch=true'])
    })
  })
})
