import { isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject } from '../../model/kubernetes-object.js'
import { sliceOfEndpoints } from '../../model/slice-forms.js'
import type { ApiAnswer, ApiRequest, ApiServer } from '../../ports/api-server.js'
import { createLineCutter, parseJson } from './answer.js'

/** What a server has of EndpointSlices: those of v1 (from 1.21), of v1beta1 (1.16 to 1.24), or Endpoints in their place. */
export type SlicesServed = 'v1' | 'v1beta1' | 'Endpoints'

interface OlderSlicesOptions {
  /** Whether Endpoints may be read in place of EndpointSlices, where there are none. Default: a server without EndpointSlices is an error. */
  readonly endpoints?: boolean
  /** Told each time that the server is found to have something else than before; v1 at first. */
  readonly onServed: (served: SlicesServed) => void
  /** The largest page of a list of Endpoints, and the longest line of a watch, in bytes. Default: 256 MiB and 16 MiB. */
  readonly limits?: { readonly pageBytes: number; readonly lineBytes: number }
}

/**
 * The same server, whose EndpointSlices are asked for where it has them: requests for those of v1 go to an older version where v1 is not
 * there (404), and where none is, to Endpoints, whose answers are given as EndpointSlices (`sliceOfEndpoints`). Never both: one watch
 * has one path, and where the server comes to have another version, the check before a watch does not find the last known slice, so that
 * everything is listed anew. Endpoints that are locks of leaders, which change every two seconds, are left out.
 */
export function withOlderSlices(api: ApiServer, options: OlderSlicesOptions): ApiServer {
  const { pageBytes, lineBytes } = options.limits ?? { pageBytes: 256 * 1024 * 1024, lineBytes: 16 * 1024 * 1024 }
  const forms: readonly SlicesServed[] = [
    'v1',
    'v1beta1',
    ...(options.endpoints === true ? ['Endpoints' as const] : []),
  ]
  let served: SlicesServed = 'v1'

  const askFor = async (form: SlicesServed, request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> => {
    const answer = await api.get({ ...request, path: PATHS[form](request.path) }, signal)
    if (form !== 'Endpoints' || answer.status !== 200) return answer
    const { body } = answer
    return { ...answer, body: request.query['watch'] === '1' ? watched(body, lineBytes) : listed(body, pageBytes) }
  }

  return {
    ...api,
    async get(request, signal) {
      if (!request.path.startsWith(SLICES)) return api.get(request, signal)
      const first = await askFor(served, request, signal)
      if (first.status !== 404) return first
      for (const form of forms) {
        if (form === served) continue
        const answer = await askFor(form, request, signal)
        if (answer.status === 404) {
          await leave(answer)
          continue
        }
        // A refusal says nothing of what there is.
        if (answer.status !== 200) {
          await leave(first)
          return answer
        }
        await leave(first)
        served = form
        options.onServed(form)
        return answer
      }
      return first
    },
  }
}

const SLICES = '/apis/discovery.k8s.io/v1/'

const PATHS: { readonly [form in SlicesServed]: (path: string) => string } = {
  v1: (path) => path,
  v1beta1: (path) => path.replace(SLICES, '/apis/discovery.k8s.io/v1beta1/'),
  Endpoints: (path) => path.replace(SLICES, '/api/v1/').replace(/endpointslices$/, 'endpoints'),
}

/** Ends an answer that nobody reads, and with it the connection. */
const leave = async ({ body }: ApiAnswer): Promise<void> => void (await body[Symbol.asyncIterator]().return?.())

/** A watch of Endpoints, line by line. What is no event is left as it is, for the reader to judge. */
async function* watched(body: ApiAnswer['body'], lineBytes: number): AsyncGenerator<Uint8Array> {
  const cutter = createLineCutter()
  for await (const bytes of body) {
    for (const line of cutter.push(bytes)) {
      const read = eventOf(line)
      if (read !== undefined) yield read
    }
    if (cutter.pendingBytes > lineBytes) throw new Error(`a watch event of more than ${lineBytes} bytes`)
  }
  // A line that was cut off has no end for the reader either.
  if (cutter.pendingBytes > 0) yield Buffer.from('{')
}

function eventOf(line: Uint8Array): Uint8Array | undefined {
  const parsed = parseJson(line)
  const event = 'value' in parsed && isJsonObject(parsed.value) ? parsed.value : undefined
  const { object } = event ?? {}
  if (event === undefined || !isJsonObject(object) || object['kind'] !== 'Endpoints')
    return Buffer.concat([line, LINE_FEED])
  if (isLock(object)) return undefined
  return Buffer.from(`${JSON.stringify({ ...event, object: sliceOfEndpoints(object) })}\n`)
}

const LINE_FEED = Buffer.from('\n')

/** A page of a list of Endpoints. */
async function* listed(body: ApiAnswer['body'], pageBytes: number): AsyncGenerator<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const bytes of body) {
    parts.push(bytes)
    length += bytes.length
    if (length > pageBytes) throw new Error(`a page of more than ${pageBytes} bytes`)
  }
  const whole = Buffer.concat(parts)
  const parsed = parseJson(whole)
  const list = 'value' in parsed && isJsonObject(parsed.value) ? parsed.value : undefined
  if (list?.['kind'] !== 'EndpointsList') {
    yield whole
    return
  }
  const { items } = list
  const slices = Array.isArray(items)
    ? (items as readonly Json[]).flatMap((item) =>
        isJsonObject(item) ? (isLock(item) ? [] : sliceOfEndpoints(item)) : item,
      )
    : items
  yield Buffer.from(
    JSON.stringify({ ...list, apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSliceList', items: slices }),
  )
}

/** A lock of kube-scheduler or kube-controller-manager, as releases before 1.20 keep them. */
function isLock({ metadata }: JsonObject): boolean {
  const annotations = isJsonObject(metadata) ? metadata['annotations'] : undefined
  return isJsonObject(annotations) && annotations['control-plane.alpha.kubernetes.io/leader'] !== undefined
}
