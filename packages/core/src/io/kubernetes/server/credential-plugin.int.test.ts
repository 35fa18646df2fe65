import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../model/kubernetes-object.js'
import { ask, base64, CLIENTS, createWorkshop, seenBy } from './test-support/connection.js'

describe.each(CLIENTS)('%s', (client) => {
  const { connect, connectAs, file, kubeconfig, server } = createWorkshop(client)

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
      ['that prints something else', () => failing('echo hello'), /did not print an ExecCredential/],
      ['that prints no status', () => failing('echo "{}"'), /did not print an ExecCredential/],
      ['that prints without end', () => failing('exec yes'), /exec .*it prints more than 1048576 bytes/],
      ['that gives nothing', () => failing('echo \'{"status":{}}\''), /neither a token nor a certificate/],
    ])('%s', async (_, command, message) => {
      const { api } = await connectAs({ exec: { command: command() } })
      await expect(ask(api)).rejects.toMatchObject({ code: 'EXEC_FAILED', message: expect.stringMatching(message) })
    })

    it('that hangs is waited for no longer than it may, and killed, with what it started left alone', async () => {
      const to = await server()
      const pids = file('pids', '')
      const command = failing(`echo $$ >> ${pids}; sleep 2; sleep 2`)
      const path = kubeconfig(to, { exec: { command } })
      const api = await connect({ kubeconfig: path, timeouts: { pluginMs: 50 } })
      const failure = { code: 'EXEC_FAILED', message: expect.stringContaining('0.05 s') }
      await expect(ask(api)).rejects.toMatchObject(failure)
      await expect(ask(api)).rejects.toMatchObject(failure)
      const running = (): readonly string[] =>
        readFileSync(pids, 'utf8')
          .split('\n')
          .filter((pid) => pid !== '' && existsSync(`/proc/${pid}`))
      await expect.poll(running).toEqual([])
    })
  })

  describe('an auth-provider', () => {
    it('oidc gives its token', async () => {
      const part = (value: JsonObject): string => Buffer.from(JSON.stringify(value)).toString('base64url')
      const token = `${part({ alg: 'none' })}.${part({ exp: 32_503_680_000 })}.${part({})}`
      const { api, to } = await connectAs({ 'auth-provider': { name: 'oidc', config: { 'id-token': token } } })
      await ask(api)
      expect(seenBy(to)).toEqual([`Bearer ${token}`])
    })

    it.each(['no token', 'a.b.c', 'a\nb.c'])('oidc with the id-token %j says that it is bad', async (token) => {
      const { api } = await connectAs({ 'auth-provider': { name: 'oidc', config: { 'id-token': token } } })
      await expect(ask(api)).rejects.toMatchObject({
        code: 'OIDC_FAILED',
        message: expect.stringMatching(/id-token.*the id-token is not a JSON Web Token/),
      })
    })

    it('that Kubernetes has removed is refused with what to use in its place', async () => {
      await expect(connectAs({ 'auth-provider': { name: 'gcp' } })).rejects.toMatchObject({
        code: 'KUBECONFIG_INVALID',
        message: expect.stringMatching(/auth-provider gcp.*exec/),
      })
    })
  })

  describe('a plugin is refused at once', () => {
    it.each<[string, JsonObject, RegExp]>([
      ['that has no command', {}, /exec has no command/],
      ['that has to ask a person', { command: 'login', interactiveMode: 'Always' }, /exec login requires a terminal/],
    ])('%s', async (_, exec, message) => {
      await expect(connectAs({ exec })).rejects.toMatchObject({
        code: 'KUBECONFIG_INVALID',
        message: expect.stringMatching(message),
      })
    })
  })
})
