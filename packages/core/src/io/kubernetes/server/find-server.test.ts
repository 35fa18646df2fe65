import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../model/kubernetes-object.js'
import { findServer, type ServerQuestion } from './find-server.js'
import type { ServerSettings } from './server-settings.js'
import { kubeconfigOf } from './test-support/connection.js'

const at = (server: string, user: JsonObject = {}): string => JSON.stringify(kubeconfigOf({ server }, user))

type Files = Readonly<Record<string, string>>

function settingsOf(files: Files, question: Partial<ServerQuestion> = {}): Promise<ServerSettings> {
  const read = async (path: string): Promise<string> => {
    const text = files[path]
    if (text === undefined) throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' })
    return text
  }
  return findServer({ otherwise: 'pod', env: {}, serviceAccountDirectory: '/sa', read, ...question })
}

/** Where the files lead, as `URL (user)`, or the error's message. */
async function found(files: Files, question: Partial<ServerQuestion> = {}): Promise<string> {
  try {
    const settings = await settingsOf(files, question)
    return `${settings.url.href} (${settings.user.tokenFile ?? settings.user.token ?? 'nobody'})`
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${String(error.code)} ${error.message}` : String(error)
  }
}

const POD = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
const FILES = {
  '/etc/kc': at('https://a:6443', { token: 'a' }),
  '/home/ann/.kube/config': at('https://home:6443', { token: 'h' }),
  '/one': at('https://one:6443', { token: '1' }),
}

describe('as kube-proxy', () => {
  it.each<[string, Partial<ServerQuestion>, string]>([
    ['--kubeconfig comes first', { kubeconfig: '/etc/kc', env: POD }, 'https://a:6443/ (a)'],
    ['--master is another address for it', { kubeconfig: '/etc/kc', master: 'https://b' }, 'https://b/ (a)'],
    ['--master alone brings no credentials', { master: 'http://b:8080', env: POD }, 'http://b:8080/ (nobody)'],
    [
      'an address without a scheme and nothing to verify it by is HTTP',
      { master: 'b:8080' },
      'http://b:8080/ (nobody)',
    ],
    ['neither means the service account', { env: POD }, 'https://10.96.0.1/ (/sa/token)'],
    [
      'of an IPv6 cluster too',
      { env: { ...POD, KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' } },
      'https://[fd00::1]:6443/ (/sa/token)',
    ],
    ['and never ~/.kube/config', { env: { ...POD, HOME: '/home/ann' } }, 'https://10.96.0.1/ (/sa/token)'],
  ])('%s', async (_, question, result) => {
    expect(await found(FILES, question)).toBe(result)
  })

  it("a pod verifies the API server by its service account's CA", async () => {
    expect(await settingsOf({}, { env: POD })).toEqual({
      source: 'the service account of the pod',
      url: new URL('https://10.96.0.1'),
      cluster: { name: 'pod', skipTLSVerify: false, caFile: '/sa/ca.crt' },
      user: { name: 'pod', tokenFile: '/sa/token' },
      directory: '/sa',
    })
  })

  it('--master alone does not switch verification off', async () => {
    const { cluster, user } = await settingsOf({}, { master: 'https://b' })
    expect({ cluster, user }).toEqual({ cluster: { name: 'master', skipTLSVerify: false }, user: { name: '' } })
  })

  it('outside of a pod something has to be given', async () => {
    expect(await found(FILES, { env: { HOME: '/home/ann' } })).toMatch(/^NO_CONFIGURATION .*--kubeconfig or --master/)
  })

  it('what is no address is named', async () => {
    expect(await found({}, { master: 'ftp://b' })).toMatch(/^KUBECONFIG_INVALID --master: .*ftp:\/\/b/)
  })
})

describe('as kubectl', () => {
  const user = { otherwise: 'user' } as const
  it.each<[string, Partial<ServerQuestion>, string]>([
    ['--kubeconfig comes first', { kubeconfig: '/etc/kc', env: { KUBECONFIG: '/one' } }, 'https://a:6443/ (a)'],
    ['then KUBECONFIG', { env: { KUBECONFIG: '/one', HOME: '/home/ann' } }, 'https://one:6443/ (1)'],
    ['of which files may be missing', { env: { KUBECONFIG: '/gone:/one' } }, 'https://one:6443/ (1)'],
    ['then ~/.kube/config', { env: { ...POD, HOME: '/home/ann' } }, 'https://home:6443/ (h)'],
    ['then the service account', { env: { ...POD, HOME: '/home/bob' } }, 'https://10.96.0.1/ (/sa/token)'],
  ])('%s', async (_, question, result) => {
    expect(await found(FILES, { ...user, ...question })).toBe(result)
  })

  it('a KUBECONFIG that leads to no file is told', async () => {
    expect(await found(FILES, { ...user, env: { KUBECONFIG: '/gone' } })).toMatch(/^NO_CONFIGURATION KUBECONFIG=\/gone/)
  })

  it('nothing at all is told', async () => {
    expect(await found({}, { ...user, env: { HOME: '/home/bob' } })).toMatch(/^NO_CONFIGURATION .*~\/.kube\/config/)
  })

  it('several files are one: the first that names something counts', async () => {
    const contexts = JSON.stringify({ contexts: [{ name: 'prod', context: { cluster: 'sea', user: 'ann' } }] })
    const rest = JSON.stringify({
      'current-context': 'prod',
      clusters: [{ name: 'sea', cluster: { server: 'https://sea' } }],
      users: [{ name: 'ann', user: { tokenFile: 'ann.token' } }],
      contexts: [{ name: 'prod', context: { cluster: 'none', user: 'none' } }],
    })
    const files = { '/k/contexts': contexts, '/k/rest': rest }
    expect(await found(files, { ...user, env: { KUBECONFIG: '/k/contexts:/k/rest' } })).toBe(
      'https://sea/ (/k/ann.token)',
    )
  })
})

describe('a kubeconfig that cannot be used is told in one line that names file and field', () => {
  const file = (text: string, question: Partial<ServerQuestion> = {}) =>
    found({ '/etc/kc': text }, { kubeconfig: '/etc/kc', ...question })
  const withUser = (user: JsonObject): string => at('https://a', user)

  it.each<[string, () => Promise<string>, RegExp]>([
    ['not there', () => found({}, { kubeconfig: '/gone' }), /^KUBECONFIG_INVALID \/gone: .*\(no such file\)/],
    ['no YAML', () => file('a: [b\nc: d'), /^KUBECONFIG_INVALID \/etc\/kc: .*line/],
    ['no mapping', () => file('- a'), /^KUBECONFIG_INVALID \/etc\/kc: .*not a mapping/],
    ['something else', () => file('kind: ConfigMap'), /^KUBECONFIG_INVALID .*kind is "ConfigMap"/],
    ['a list that is none', () => file('contexts: 3\ncurrent-context: x'), /^KUBECONFIG_INVALID .*contexts is no list/],
    ['empty', () => file('{}'), /^CONTEXT_NOT_FOUND \/etc\/kc, no current-context: .*it has none/],
    [
      'without such a context',
      () => file(at('https://a'), { context: 'x' }),
      /^CONTEXT_NOT_FOUND .*context x: .*has dev/,
    ],
    [
      'without the cluster',
      () => file(at('https://a').replace('"name":"dock"', '"name":"quay"')),
      /dock.*not among the clusters/,
    ],
    [
      'without the user',
      () => file(at('https://a').replace('"name":"harbour-master"', '"name":"x"')),
      /harbour-master.*not among the users/,
    ],
    ['without an address', () => file(at('')), /clusters\[dock\].cluster.server is missing/],
    ['with no address', () => file(at('ftp://a')), /ftp:\/\/a is not an http or https URL/],
    [
      'with a number for a text',
      () => file(withUser({ token: 7 })),
      /users\[harbour-master\].user.token is not a string/,
    ],
    [
      'with a line break in a token',
      () => file(withUser({ token: 'a\nb' })),
      /users\[harbour-master\].user.token contains a line break/,
    ],
    [
      'with a text for a list',
      () => file(withUser({ 'as-groups': 'readers' })),
      /users\[harbour-master\].user.as-groups is not a list of strings/,
    ],
    [
      'with a text for a list in a mapping',
      () => file(withUser({ 'as-user-extra': { ship: 'mast' } })),
      /users\[harbour-master\].user.as-user-extra is not a mapping of names to lists of strings/,
    ],
    [
      'with a text for true',
      () => file(at('https://a').replace('"server"', '"insecure-skip-tls-verify":"true","server"')),
      /clusters\[dock\].cluster.insecure-skip-tls-verify is not true or false/,
    ],
  ])('%s', async (_, ask, message) => {
    const told = await ask()
    expect(told).toMatch(message)
    expect(told.split('\n')).toHaveLength(1)
  })

  it('while what another context leads to may be broken', async () => {
    const text = `
      current-context: good
      contexts:
        - { name: good, context: { cluster: good, user: '' } }
        - { name: bad, context: 7 }
        - nonsense
      clusters: [{ name: bad }, { name: good, cluster: { server: good:6443, certificate-authority: ca.crt } }]
      users: [{ name: bad, user: { token: 7 } }]
    `
    expect(await file(text)).toBe('https://good:6443/ (nobody)')
  })
})
