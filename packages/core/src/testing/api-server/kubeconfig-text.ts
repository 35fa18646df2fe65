import type { TestCertificate } from './test-authority.js'

/** How a kubeconfig's user shows who it is; paths are files' names. */
export type KubeconfigUser =
  | { readonly token: string }
  | { readonly tokenFile: string }
  | { readonly certificate: TestCertificate }
  | { readonly certificateFile: string; readonly keyFile: string }

export interface KubeconfigFields {
  readonly url: string
  /** PEM. */
  readonly authority: string
  readonly user: KubeconfigUser
}

/** A kubeconfig with one context. It is JSON, and so YAML as well. */
export function kubeconfigText({ url, authority, user }: KubeconfigFields): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': base64(authority) } }],
    users: [{ name: 'test', user: userFields(user) }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  }
  return `${JSON.stringify(config, undefined, 2)}\n`
}

function userFields(user: KubeconfigUser): Readonly<Record<string, string>> {
  if ('certificate' in user) {
    const { certificate, key } = user.certificate
    return { 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) }
  }
  if ('certificateFile' in user) return { 'client-certificate': user.certificateFile, 'client-key': user.keyFile }
  return { ...user }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
