import { isJsonObject } from '../../model/json-value.js'
import type { ApiAnswer, ApiServer } from '../../ports/api-server.js'
import { parseJson } from './answer.js'
import { ApiServerError } from './server/api-server-error.js'

export interface ClusterGuard {
  /** The cluster that it should be: the uid of its Service default/kubernetes. */
  readonly clusterId: string
  /** Told once that it is another one. */
  readonly onOther: (clusterId: string) => void
}

/**
 * The same server, asked first of all which cluster it is: positions of one cluster mean nothing in another, and a watch from
 * one would be answered all the same. Of another cluster nothing is ever read. One that does not tell, because it has no such
 * Service or whoever asks may not see it, is taken for the right one.
 */
export function guardCluster(api: ApiServer, { clusterId, onOther }: ClusterGuard): ApiServer {
  let checked: Promise<void> | undefined
  const check = async (): Promise<void> => {
    const found = await clusterIdOf(api)
    if (found === undefined || found === clusterId) return
    onOther(found)
    // Nobody is answered any more.
    await new Promise<never>(() => undefined)
  }
  return {
    ...api,
    async get(request, signal) {
      checked ??= check()
      try {
        await checked
      } catch (error) {
        checked = undefined
        throw error
      }
      return api.get(request, signal)
    },
  }
}

async function clusterIdOf(api: ApiServer): Promise<string | undefined> {
  // A list, as whoever may list Services need not be allowed to get one.
  const query = { fieldSelector: 'metadata.name=kubernetes', limit: '1' }
  const request = { path: '/api/v1/namespaces/default/services', query }
  const late = new AbortController()
  const fail = (detail: string): ApiServerError => new ApiServerError('TIMED_OUT', { subject: api.url, detail })
  const timer = setTimeout(
    () => late.abort(fail(`not which cluster it is within ${PATIENCE_MS / 1000} s`)),
    PATIENCE_MS,
  )
  const answer = await api.get(request, late.signal).catch((error: unknown) => {
    clearTimeout(timer)
    throw error
  })
  const body = await bytesOf(answer).finally(() => clearTimeout(timer))
  const parsed = parseJson(body)
  const list = answer.status === 200 && 'value' in parsed && isJsonObject(parsed.value) ? parsed.value : {}
  const object: unknown = Array.isArray(list['items']) ? list['items'][0] : undefined
  const metadata = isJsonObject(object) && isJsonObject(object['metadata']) ? object['metadata'] : {}
  return metadata['name'] === 'kubernetes' && typeof metadata['uid'] === 'string' ? metadata['uid'] : undefined
}

async function bytesOf({ body }: ApiAnswer): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const bytes of body) {
    parts.push(bytes)
    length += bytes.length
    // What is as long as this is no answer to the question: it is not JSON when it is cut.
    if (length > MOST_BYTES) break
  }
  return Buffer.concat(parts)
}

const PATIENCE_MS = 30_000
const MOST_BYTES = 4 * 1024 * 1024
