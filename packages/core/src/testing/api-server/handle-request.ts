import { assertNever } from '../../model/language.js'
import { openAnswerStream } from './answer-stream.js'
import { answerJson, answerStatus, type BodyFaults, replayAnswer, writeHead } from './answers.js'
import { keyOf } from './api-resource.js'
import { authenticate, type Users } from './authenticate.js'
import { type ListFaults, listObjects, type Query } from './list-objects.js'
import { isWatch, requestKindOf, type Route, routeOf, type SeenRequest } from './request-log.js'
import { planWatch } from './plan-watch.js'
import {
  statusBody,
  type StatusBody,
  streamingListsUnsupported,
  tooLargeResourceVersion,
  tooOldResourceVersion,
} from './status-body.js'
import { errorLine } from './watch-event-lines.js'
import { serveWatch, type WatchSession } from './watch-session.js'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type EventStore, eventNameIn, writeEvent } from './event-store.js'
import type { Misbehaviour } from './misbehaviour.js'
import type { ObjectStore } from './object-store.js'

export interface RequestContext {
  readonly store: ObjectStore
  readonly events: EventStore
  readonly users: Users
  readonly now: () => number
  readonly bookmarkIntervalMs: number
  readonly watchTimeoutMs: number
  readonly sessions: Set<WatchSession>
  readonly saw: (request: SeenRequest) => void
  readonly misbehaviourFor: (request: SeenRequest) => Misbehaviour | undefined
}

interface Exchange {
  readonly message: IncomingMessage
  readonly request: SeenRequest
  readonly route: Route | undefined
  readonly response: ServerResponse
  readonly pretty: boolean
  readonly context: RequestContext
}

/** Answers one request, well or as it was told to. */
export async function handleRequest(
  message: IncomingMessage,
  response: ServerResponse,
  context: RequestContext,
): Promise<void> {
  // It came on a connection that the server had ended meanwhile: nobody reads there any more.
  if (message.socket.writableEnded) return
  const { pathname, searchParams } = new URL(message.url ?? '/', 'https://server')
  const query = Object.fromEntries(searchParams)
  const route = routeOf(pathname)
  const userAgent = message.headers['user-agent']
  const request: SeenRequest = {
    at: context.now(),
    method: message.method ?? 'GET',
    path: pathname,
    query,
    kind: eventNameIn(pathname) === undefined ? requestKindOf(route, query) : 'event',
    ...(route && { resource: route.resource.name }),
    ...(userAgent !== undefined && { userAgent }),
  }
  context.saw(request)
  const exchange = { message, request, route, response, pretty: wantsPretty(query, userAgent), context }
  const misbehaviour = context.misbehaviourFor(request)
  if (misbehaviour !== undefined) return misanswer(exchange, misbehaviour)
  if (authenticate(message, context.users) === undefined) return refuse(exchange, unauthorized)
  return answer(exchange, {})
}

const unauthorized = statusBody(401, 'Unauthorized')

/** For people: what `pretty` says, else for programs that people type. */
const wantsPretty = ({ pretty }: Query, userAgent = ''): boolean =>
  pretty === undefined ? /^(?:curl|Wget|Mozilla\/5\.0)/.test(userAgent) : pretty !== 'false' && pretty !== '0'

const refuse = ({ response, pretty }: Exchange, status: StatusBody): Promise<void> =>
  answerStatus(response, status, { pretty })

/** What is changed in an answer that is otherwise right. */
interface Faults extends ListFaults {
  readonly body?: BodyFaults
  readonly duplicates?: true
  readonly disturbed?: Extract<Misbehaviour, { type: 'disturbed' }>
}

async function answer(exchange: Exchange, faults: Faults): Promise<void> {
  const { request, route, response, pretty, context } = exchange
  if (request.kind === 'event') return answerEvent(exchange)
  if (request.method !== 'GET') return refuse(exchange, statusBody(405, 'the server does not allow this method'))
  if (route === undefined) return answerOther(exchange)
  const { resource, namespace, name } = route
  if (name !== undefined) {
    const key = namespace === undefined ? name : `${namespace}/${name}`
    const found = context.store.objects(resource.name).find((object) => keyOf(object) === key)
    if (found !== undefined) return answerJson(response, found, { pretty })
    return refuse(exchange, statusBody(404, `${resource.name} "${name}" not found`))
  }
  if (isWatch(request.query)) return answerWatch(exchange, route, faults)
  const list = listObjects(context.store, {
    resource,
    query: request.query,
    faults,
    ...(namespace !== undefined && { namespace }),
  })
  if (list.type === 'status') return refuse(exchange, list.status)
  return answerJson(response, list.body, { pretty, ...(faults.body && { faults: faults.body }) })
}

async function answerWatch(exchange: Exchange, { resource, namespace }: Route, faults: Faults): Promise<void> {
  const { request, response, context } = exchange
  const { store, sessions } = context
  const plan = planWatch(store, {
    resource,
    query: request.query,
    faults,
    bookmarkIntervalMs: context.bookmarkIntervalMs,
    watchTimeoutMs: context.watchTimeoutMs,
    ...(namespace !== undefined && { namespace }),
  })
  if (plan.type === 'status') return refuse(exchange, plan.status)
  const stream = startStream(exchange)
  if (plan.type === 'error') {
    stream.send(errorLine(plan.status))
    stream.end()
    return
  }
  const { duplicates, disturbed } = faults
  const spoilt = { ...plan.plan, ...(duplicates && { sendsTwice: true }), ...(disturbed && { disturbance: disturbed }) }
  const session: WatchSession = serveWatch(store, stream, spoilt, () => queueMicrotask(() => sessions.delete(session)))
  if (stream.isOpen()) sessions.add(session)
  response.once('close', () => sessions.delete(session))
}

/** The head of a watch goes out at once: a reader learns that it is there before anything changes. */
function startStream({ response }: Exchange) {
  writeHead(response, { code: 200 })
  response.flushHeaders()
  return openAnswerStream(response)
}

async function misanswer(exchange: Exchange, misbehaviour: Misbehaviour): Promise<void> {
  const { request, response, context } = exchange
  switch (misbehaviour.type) {
    case 'hang':
      return undefined
    case 'reset':
      response.socket?.destroy()
      return undefined
    case 'status':
      return refuse(exchange, statusBody(misbehaviour.code, 'asked for by a test', misbehaviour))
    case 'too-large-resource-version': {
      const current = context.store.resourceVersion()
      const asked = Number(request.query['resourceVersion'] ?? 0)
      return refuse(exchange, tooLargeResourceVersion(asked, current, misbehaviour.retryAfterSeconds))
    }
    case 'expired':
      return answerExpired(exchange)
    case 'no-streaming-lists':
      if (request.kind !== 'streaming-list') return answer(exchange, {})
      if (misbehaviour.as === 'event') return answerError(exchange, streamingListsUnsupported())
      return refuse(exchange, statusBody(misbehaviour.as, 'sendInitialEvents is forbidden for watch'))
    case 'slow':
      return answer(exchange, { body: { slow: misbehaviour } })
    case 'truncated':
      return answer(exchange, { body: { truncatedAt: misbehaviour.bytes } })
    case 'behind':
      return answer(exchange, { behind: misbehaviour.revisions })
    case 'omit':
      return answer(exchange, { omit: misbehaviour.keys })
    case 'duplicates':
      return answer(exchange, { duplicates: true })
    case 'disturbed':
      return answer(exchange, { disturbed: misbehaviour })
    case 'replay':
      return replayAnswer(response, misbehaviour)
    default:
      return assertNever(misbehaviour)
  }
}

async function answerExpired(exchange: Exchange): Promise<void> {
  const { query } = exchange.request
  const status = tooOldResourceVersion(Number(query['resourceVersion'] ?? 0), exchange.context.store.compactedAt())
  return isWatch(query) ? answerError(exchange, status) : refuse(exchange, status)
}

async function answerError(exchange: Exchange, status: StatusBody): Promise<void> {
  const stream = startStream(exchange)
  stream.send(errorLine(status))
  stream.end()
}

async function answerEvent(exchange: Exchange): Promise<void> {
  const { message, request, response, pretty, context } = exchange
  const written = await writeEvent(context.events, message, request)
  if (written.type === 'status') return refuse(exchange, written.status)
  return answerJson(response, written.event, { code: written.code, pretty })
}

const VERSION = { major: '1', minor: '36', gitVersion: 'v1.36.2', platform: 'linux/amd64' }

async function answerOther(exchange: Exchange): Promise<void> {
  const { request, response, pretty } = exchange
  if (request.path === '/version') return answerJson(response, VERSION, { pretty: true })
  if (request.path === '/api/v1/namespaces/kube-system') {
    const metadata = { name: 'kube-system', uid: '00000000-0000-4000-a000-000000000001', resourceVersion: '1' }
    return answerJson(response, { kind: 'Namespace', apiVersion: 'v1', metadata }, { pretty })
  }
  return refuse(exchange, statusBody(404, 'the server could not find the requested resource'))
}
