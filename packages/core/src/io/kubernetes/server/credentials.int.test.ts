import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../model/kubernetes-object.js'
import { ask, base64, CLIENTS, createWorkshop, running, seenBy } from './test-support/connection.js'
import type { Answer } from './test-support/tls-server.js'

describe.each(CLIENTS)('%s', (client) => {
  const { connect, connectAs, file, kubeconfig, server } = createWorkshop(client)

  describe('a request comes with', () => {
    it('a token', async () => {
      const { api, to } = await connectAs({ token: 'one' })
      expect(await ask(api)).toBe('200 {"kind":"ServiceList"}')
      expect(seenBy(to)).toEqual(['Bearer one'])
    })

    it('the token of a file, which is read again when it is exchanged, gone or empty for a moment', async () => {
      const token = file('token', 'one\n')
      const { api, to } = await connectAs({ tokenFile: token, token: 'of the kubeconfig' })
      await ask(api)
      writeFileSync(token, 'two\n')
      await ask(api)
      rmSync(token)
      await ask(api)
      writeFileSync(token, '')
      await ask(api)
      writeFileSync(token, 'three\n')
      await ask(api)
      expect(seenBy(to)).toEqual(['one', 'two', 'two', 'two', 'three'].map((text) => `Bearer ${text}`))
    })

    it('a path relative to the kubeconfig', async () => {
      file('token', 'beside')
      const { api, to } = await connectAs({ tokenFile: 'token' })
      await ask(api)
      expect(seenBy(to)).toEqual(['Bearer beside'])
    })

    it('a name and a password', async () => {
      const { api, to } = await connectAs({ username: 'ann', password: 'sec:ret' })
      await ask(api)
      expect(seenBy(to)).toEqual([`Basic ${base64('ann:sec:ret')}`])
    })

    it('a client certificate, given as data', async () => {
      const to = await server()
      const { certificate, key } = to.authority.issue({ commonName: 'system:kube-proxy' })
      const user = { 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) }
      // Data counts before files, which need not be there then.
      const files = { 'client-certificate': 'gone', 'client-key': 'gone' }
      await ask(
        await connect({ kubeconfig: kubeconfig(to, { ...user, ...files }, { 'certificate-authority': 'gone' }) }),
      )
      expect(seenBy(to)).toEqual(['CN=system:kube-proxy'])
    })

    it('a client certificate of files: new connections come with the exchanged one, and half an exchange does no harm', async () => {
      const to = await server()
      const [first, second] = ['first', 'second'].map((commonName) => to.authority.issue({ commonName }))
      if (first === undefined || second === undefined) throw new Error('two certificates')
      const [cert, key] = [file('client.crt', first.certificate), file('client.key', first.key)]
      const api = await connect({ kubeconfig: kubeconfig(to, { 'client-certificate': cert, 'client-key': key }) })
      await ask(api)
      writeFileSync(cert, second.certificate)
      await ask(api)
      writeFileSync(key, second.key)
      await ask(api)
      expect(seenBy(to)).toEqual(['CN=first', 'CN=first', 'CN=second'])
      // client-node's agents keep no connection.
      expect(to.seen.map(({ connection }) => connection)).toEqual(client === 'lean' ? [1, 1, 2] : [1, 2, 3])
    })

    it('the exchanged certificate alone, once what was under way with the old one has ended', async () => {
      const finished: (() => Promise<unknown>)[] = []
      const to = await server({
        answer(_, response) {
          const { socket } = response
          finished.push(async () => {
            response.end()
            if (socket !== null && !socket.closed) await once(socket, 'close')
          })
          response.write('piece')
        },
      })
      const [first, second] = ['first', 'second'].map((commonName) => to.authority.issue({ commonName }))
      if (first === undefined || second === undefined) throw new Error('two certificates')
      const both = file('both.pem', first.certificate + first.key)
      const api = await connect({ kubeconfig: kubeconfig(to, { 'client-certificate': both, 'client-key': both }) })
      const read = async (): Promise<void> => {
        const { body } = await api.get({ path: '/watched', query: {} }, running())
        for await (const piece of body) expect(Buffer.from(piece).toString()).toBe('piece')
      }
      const watching = read()
      await expect.poll(() => finished.length).toBe(1)
      writeFileSync(both, second.certificate + second.key)
      const other = read()
      await expect.poll(() => finished.length).toBe(2)
      await finished[0]?.()
      await watching
      expect(seenBy(to)).toEqual(['CN=first', 'CN=second'])
      void finished[1]?.()
      await other
    })

    it('whom it stands in for', async () => {
      const { api, to } = await connectAs({
        token: 'x',
        as: 'ann',
        'as-uid': '7',
        'as-groups': ['readers', 'crew'],
        'as-user-extra': { 'example.com/ship(s)': ['mast', 'keel'] },
      })
      await ask(api)
      expect(to.seen[0]?.headers).toMatchObject({ 'impersonate-user': 'ann', 'impersonate-uid': '7' })
      expect(to.seen[0]?.headers['impersonate-group']).toBe('readers, crew')
      expect(to.seen[0]?.headers['impersonate-extra-example.com%2fship%28s%29']).toBe('mast, keel')
    })

    it('JSON asked for, the name of the program, and no wish for compression', async () => {
      const { api, to } = await connectAs({ token: 'x' })
      await ask(api)
      expect(to.seen[0]?.headers).toMatchObject({ accept: 'application/json', 'user-agent': 'pointsman-test' })
      expect(to.seen[0]?.headers).not.toHaveProperty('accept-encoding')
    })
  })

  describe('after 401', () => {
    const untilTwo: Answer = ({ authorization }, response) => {
      response.statusCode = authorization === 'Bearer two' ? 200 : 401
      response.end('{"kind":"Status"}')
    }

    it('a plugin is run once more', async () => {
      const counter = file('second', '')
      rmSync(counter)
      const command = file(
        'plugin.sh',
        `#!/bin/sh\nt=one; [ -e ${counter} ] && t=two; : > ${counter}\nprintf '{"status":{"token":"%s"}}' $t\n`,
        0o700,
      )
      const { api, to } = await connectAs({ exec: { command } }, untilTwo)
      expect(await ask(api)).toBe('200 {"kind":"Status"}')
      expect(seenBy(to)).toEqual(['Bearer one', 'Bearer two'])
      expect(existsSync(counter)).toBe(true)
    })

    it('a token that was exchanged meanwhile is tried', async () => {
      const token = file('token', 'one')
      const { api, to } = await connectAs({ tokenFile: token }, (seen, response) => {
        if (seen.authorization === 'Bearer one') writeFileSync(token, 'two')
        untilTwo(seen, response)
      })
      expect(await ask(api)).toBe('200 {"kind":"Status"}')
      expect(seenBy(to)).toEqual(['Bearer one', 'Bearer two'])
    })

    it('the same credentials are not tried twice: the answer is the caller’s', async () => {
      const { api, to } = await connectAs({ token: 'one' }, untilTwo)
      expect(await ask(api)).toBe('401 {"kind":"Status"}')
      expect(to.seen).toHaveLength(1)
    })
  })

  describe('credentials that cannot be used are told at once', () => {
    const rejection = async (user: JsonObject, cluster: JsonObject = {}): Promise<unknown> => {
      const to = await server()
      return connect({ kubeconfig: kubeconfig(to, user, cluster) }).then(undefined, (error: unknown) => error)
    }

    it.each<[string, JsonObject, JsonObject, string]>([
      ['a token file that is not there', { tokenFile: 'gone' }, {}, 'tokenFile'],
      [
        'a certificate that is not there',
        { 'client-certificate': 'gone', 'client-key': 'gone' },
        {},
        'client-certificate',
      ],
      [
        'a certificate without a key',
        { 'client-certificate-data': base64('x') },
        {},
        'client-key must be given together',
      ],
      [
        'a certificate that is none',
        { 'client-certificate-data': base64('x'), 'client-key-data': base64('y') },
        {},
        'PEM',
      ],
      ['an authority that is none', {}, { 'certificate-authority-data': base64('x') }, 'holds no certificate'],
      [
        'an authority that is not there',
        {},
        { 'certificate-authority-data': null, 'certificate-authority': 'gone.crt' },
        'gone.crt',
      ],
    ])('%s', async (_, user, cluster, words) => {
      const error = await rejection(user, cluster)
      expect(error).toMatchObject({ code: 'CREDENTIALS_UNREADABLE', message: expect.stringContaining(words) })
      expect(error).toMatchObject({ message: expect.stringContaining('kubeconfig, context dev') })
    })

    it('a token in a file that has a line break within', async () => {
      const error = await rejection({ tokenFile: file('broken.token', 'a\nb\n') }, {})
      expect(error).toMatchObject({ message: expect.stringMatching(/tokenFile .*broken\.token.*line break/) })
    })
  })

  describe('in a pod', () => {
    it('the service account is used, and its token read again', async () => {
      const to = await server({ names: ['127.0.0.1'] })
      const token = file('token', 'of the pod')
      file('ca.crt', to.authority.certificate)
      const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(to.port) }
      const api = await connect({ env, serviceAccountDirectory: dirname(token) })
      await ask(api)
      writeFileSync(token, 'of the pod, later')
      await ask(api)
      expect(seenBy(to)).toEqual(['Bearer of the pod', 'Bearer of the pod, later'])
    })

    it('kubeadm’s kubeconfig for kube-proxy does as it is', async () => {
      const to = await server()
      const path = file('kubeconfig.conf', KUBEADM)
      const mounted = '/var/run/secrets/kubernetes.io/serviceaccount/'
      const mounts: Record<string, string> = { 'ca.crt': to.authority.certificate, token: 'mounted' }
      const read = async (name: string): Promise<string> =>
        name.startsWith(mounted) ? (mounts[name.slice(mounted.length)] ?? '') : readFileSync(name, 'utf8')
      // The address alone is another here.
      const api = await connect({ kubeconfig: path, read, master: to.url })
      await ask(api)
      mounts['token'] = 'rotated'
      await ask(api)
      expect(seenBy(to)).toEqual(['Bearer mounted', 'Bearer rotated'])
    })
  })
})

const KUBEADM = `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://10.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`
