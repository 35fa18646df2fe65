import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ask, createWorkshop, listener } from './test-support/connection.js'

const { connect, kubeconfig, server } = createWorkshop()

describe('a server that answers as no API server does', () => {
  const asked = async (raw: string, timeouts = {}): Promise<unknown> => {
    const address = await listener((socket) => socket.once('data', () => socket.write(raw)))
    const api = await connect({ master: `http://${address}`, timeouts })
    return ask(api).then(undefined, (error: unknown) => error)
  }

  it.each([
    ['another protocol', '101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade', 'it answers 101'],
    [
      'a redirect',
      '302 Found\r\nLocation: https://127.0.0.2/x',
      'it answers 302, and names https://127.0.0.2/x: redirects',
    ],
    ['nothing', '204 No Content', 'it answers 204'],
    ['a page', '200 OK\r\nContent-Type: text/html', 'Content-Type text/html instead of JSON'],
    ['what is packed', '200 OK\r\nContent-Encoding: gzip', 'unsupported Content-Encoding gzip'],
    ['a header without end', `200 OK\r\nX: ${'x'.repeat(100_000)}`, 'HPE_HEADER_OVERFLOW'],
    ['headers without end', `200 OK\r\n${'A: b\r\n'.repeat(20_000)}`, 'HPE_HEADER_OVERFLOW'],
  ])('with %s is told', async (_, head, detail) => {
    expect(await asked(`HTTP/1.1 ${head}\r\n\r\nhello`)).toMatchObject({
      code: 'BAD_ANSWER',
      message: expect.stringContaining(detail),
    })
  })

  it('with nothing but hints that an answer comes is waited for no longer than it may be', async () => {
    const hint = 'HTTP/1.1 102 Processing\r\n\r\n'
    expect(await asked(hint.repeat(50), { headMs: 300 })).toMatchObject({ code: 'TIMED_OUT' })
  })

  it('with a refusal of any form is told by its status', async () => {
    expect(await asked('HTTP/1.1 503 Gone\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nbusy')).toBe(
      '503 busy',
    )
  })

  it.each([
    ['never ends', 'Transfer-Encoding: chunked', '1\r\nx\r\n'],
    ['is larger than anything', 'Transfer-Encoding: chunked', 'FFFFFFFFFFFFFFFF\r\nxx'],
  ])('whose refusal of credentials %s is asked again with those that it wants', async (_, header, body) => {
    let answers = 0
    const address = await listener((socket) =>
      socket.on('data', () => {
        const status = answers++ === 0 ? '401 Unauthorized' : '403 Forbidden\r\nConnection: close'
        socket.write(`HTTP/1.1 ${status}\r\n${header}\r\n\r\n${answers === 1 ? body : '0\r\n\r\n'}`)
      }),
    )
    let reads = 0
    const user = { tokenFile: '/token' }
    const to = { 'certificate-authority-data': null, server: `http://${address}` }
    const path = kubeconfig(await server({ plain: true }), user, to)
    const api = await connect({
      kubeconfig: path,
      read: async (file) => (file === '/token' ? `token-${reads++}` : readFile(file, 'utf8')),
    })
    expect(await ask(api)).toBe('403 ')
  })
})
