import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { checkedUrl, readKubeconfig } from './read-kubeconfig.js'
import { ApiServerError, type ReadText, type ServerSettings } from './server-settings.js'

/** Where a pod finds its service account. */
export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount'

export interface ServerQuestion {
  /** `--kubeconfig` */
  readonly kubeconfig?: string | undefined
  /** `--context` */
  readonly context?: string | undefined
  /** `--master`: counts before the address in a kubeconfig. */
  readonly master?: string | undefined
  /** Where to look when neither is given: `pod` as kube-proxy does, `user` as kubectl does. */
  readonly otherwise: 'pod' | 'user'
  readonly env: Readonly<Record<string, string | undefined>>
  readonly serviceAccountDirectory: string
  readonly read: ReadText
}

/** Throws an ApiServerError: NO_CONFIGURATION, KUBECONFIG_INVALID, CONTEXT_NOT_FOUND. */
export async function findServer(question: ServerQuestion): Promise<ServerSettings> {
  const { kubeconfig, context, master, otherwise, read } = question
  if (kubeconfig !== undefined && kubeconfig !== '')
    return readKubeconfig({ files: [kubeconfig], context, master, read })
  const files = otherwise === 'user' ? await filesOfUser(question) : []
  if (files.length > 0) return readKubeconfig({ files, context, master, read })
  if (context !== undefined) throw new ApiServerError('NO_CONFIGURATION', { subject: `--context ${context}` })
  return master === undefined || master === '' ? inPod(question) : withoutCredentials(master)
}

/** Files that KUBECONFIG names and that are not there are passed over, as kubectl does. */
async function filesOfUser({ env, read }: ServerQuestion): Promise<readonly string[]> {
  const named = (env['KUBECONFIG'] ?? '').split(':').filter((file) => file !== '')
  const home = env['HOME'] ?? ''
  const candidates = named.length > 0 || home === '' ? named : [join(home, '.kube', 'config')]
  const there = await Promise.all(candidates.map((file) => isThere(file, read)))
  const files = candidates.filter((_, index) => there[index])
  if (named.length > 0 && files.length === 0)
    throw new ApiServerError('NO_CONFIGURATION', { subject: `KUBECONFIG=${named.join(':')}`, detail: 'no such file' })
  return files
}

async function isThere(file: string, read: ReadText): Promise<boolean> {
  try {
    await read(file)
    return true
  } catch (error) {
    // What is there and cannot be read is complained of when it is read.
    return !(error instanceof Error && 'code' in error && error.code === 'ENOENT')
  }
}

function inPod({ env, otherwise, serviceAccountDirectory }: ServerQuestion): ServerSettings {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? ''
  const port = env['KUBERNETES_SERVICE_PORT'] ?? ''
  const subject = 'the service account of the pod'
  if (host === '' || port === '') {
    const looked = otherwise === 'user' ? 'KUBECONFIG and ~/.kube/config do not exist either' : 'not running in a pod'
    throw new ApiServerError('NO_CONFIGURATION', {
      subject: 'API server',
      detail: `KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: ${looked}`,
    })
  }
  const address = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`
  return {
    source: subject,
    url: checkedUrl(address, subject, { verified: true }),
    cluster: { name: 'pod', skipTLSVerify: false, caFile: join(serviceAccountDirectory, 'ca.crt') },
    user: { name: 'pod', tokenFile: join(serviceAccountDirectory, 'token') },
    directory: serviceAccountDirectory,
  }
}

const withoutCredentials = (master: string): ServerSettings => ({
  source: `--master ${master}`,
  url: checkedUrl(master, '--master', { verified: false }),
  cluster: { name: 'master', skipTLSVerify: false },
  user: { name: '' },
  directory: '.',
})
