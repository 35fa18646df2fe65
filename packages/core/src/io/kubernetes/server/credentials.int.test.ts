import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../model/kubernetes-object.js'
import type { ApiServer } from '../../../ports/api-server.js'
import { ask, base64, createWorkshop, running } from './test-support/connection.js'
import type { Answer, TlsServer } from './test-support/tls-server.js'

const { connect, file, kubeconfig, server } = createWorkshop()

/** What the server saw of the one who asked. */
const seenBy = (to: TlsServer): string[] =>
  to.seen.map(({ authorization, client }) => authorization ?? (client === undefined ? 'nobody' : `CN=${client}`))

async function connectAs(user: JsonObject, answer?: Answer): Promise<{ api: ApiServer; to: TlsServer }> {
  const to = await server(answer === undefined ? {} : { answer })
  return { to, api: await connect({ kubeconfig: kubeconfig(to, user) }) }
}

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
    await ask(await connect({ kubeconfig: kubeconfig(to, user) }))
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
    expect(to.seen.map(({ connection }) => connection)).toEqual([1, 1, 2])
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
    const { api, to } = await connectAs({ token: 'x', as: 'ann', 'as-uid': '7', 'as-groups': ['readers', 'crew'] })
    await ask(api)
    expect(to.seen[0]?.headers).toMatchObject({ 'impersonate-user': 'ann', 'impersonate-uid': '7' })
    expect(to.seen[0]?.headers['impersonate-group']).toBe('readers, crew')
  })

  it('JSON asked for, the name of the program, and no wish for compression', async () => {
    const { api, to } = await connectAs({ token: 'x' })
    await ask(api)
    expect(to.seen[0]?.headers).toMatchObject({ accept: 'application/json', 'user-agent': 'pointsman-test' })
    expect(to.seen[0]?.headers).not.toHaveProperty('accept-encoding')
  })
})

describe('a credential plugin', () => {
  /** A plugin that counts its runs, and gives what is told. */
  const plugin = (status: JsonObject): { command: string; runs: () => number } => {
    const counter = file('runs', '')
    const command = file(
      'plugin.sh',
      `#!/bin/sh\necho run >> ${counter}\nprintf '%s' "$KUBERNETES_EXEC_INFO" > ${counter}.info\n` +
        `printf '{"status":%s}' '${JSON.stringify(status)}'\n`,
      0o700,
    )
    return { command, runs: () => readFileSync(counter, 'utf8').split('\n').length - 1 }
  }

  it('gives a token that is kept until it expires', async () => {
    const { command, runs } = plugin({ token: 'given', expirationTimestamp: '2999-01-01T00:00:00Z' })
    const { api, to } = await connectAs({ exec: { apiVersion: 'client.authentication.k8s.io/v1', command } })
    await Promise.all([ask(api), ask(api)])
    await ask(api)
    expect(seenBy(to)).toEqual(['Bearer given', 'Bearer given', 'Bearer given'])
    expect(runs()).toBe(1)
  })

  it('is run again once it has', async () => {
    const { command, runs } = plugin({ token: 'given', expirationTimestamp: '2020-01-01T00:00:00Z' })
    const { api } = await connectAs({ exec: { command } })
    await ask(api)
    await ask(api)
    expect(runs()).toBe(2)
  })

  it('gives a client certificate', async () => {
    const to = await server()
    const { certificate, key } = to.authority.issue({ commonName: 'of-the-plugin' })
    const { command } = plugin({ clientCertificateData: certificate, clientKeyData: key })
    // In a shell's single quotes and printf's %s a line end of JSON stays the two characters that it is.
    await ask(await connect({ kubeconfig: kubeconfig(to, { exec: { command } }) }))
    expect(seenBy(to)).toEqual(['CN=of-the-plugin'])
  })

  it('is found beside the kubeconfig, and told what client-go tells it', async () => {
    const { command } = plugin({ token: 'given' })
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin.sh', provideClusterInfo: true }
    const { api, to } = await connectAs({ exec })
    await ask(api)
    expect(JSON.parse(readFileSync(join(dirname(command), 'runs.info'), 'utf8'))).toEqual({
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1',
      spec: {
        interactive: false,
        cluster: { server: to.url, 'certificate-authority-data': base64(to.authority.certificate) },
      },
    })
  })

  const failing = (script: string): string => file('plugin.sh', `#!/bin/sh\n${script}\n`, 0o700)
  it.each([
    ['that fails is quoted', () => failing('echo "log in first" >&2; exit 1'), /harbour-master.*exec .*log in first/],
    ['that is not there is named', () => 'no-such-plugin', /no-such-plugin: no such program/],
    ['that prints something else', () => failing('echo hello'), /printed no ExecCredential/],
    ['that prints no status', () => failing('echo "{}"'), /printed no ExecCredential/],
    ['that gives nothing', () => failing('echo \'{"status":{}}\''), /neither a token nor a certificate/],
  ])('%s', async (_, command, message) => {
    const { api } = await connectAs({ exec: { command: command() } })
    await expect(ask(api)).rejects.toMatchObject({ code: 'EXEC_FAILED', message: expect.stringMatching(message) })
  })

  it('that hangs is waited for no longer than it may, and not started a second time', async () => {
    const to = await server()
    const counter = file('runs', '')
    const command = failing(`echo run >> ${counter}; exec sleep 2`)
    const path = kubeconfig(to, { exec: { command } })
    const api = await connect({ kubeconfig: path, timeouts: { pluginMs: 50 } })
    const failure = { code: 'EXEC_FAILED', message: expect.stringContaining('0.05 s') }
    await expect(ask(api)).rejects.toMatchObject(failure)
    await expect(ask(api)).rejects.toMatchObject(failure)
    expect(readFileSync(counter, 'utf8')).toBe('run\n')
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
    ['a certificate without a key', { 'client-certificate-data': base64('x') }, {}, 'client-key are given together'],
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
