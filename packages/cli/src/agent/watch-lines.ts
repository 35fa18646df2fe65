import type { ObjectKind, WatchStatus } from '@pointsman/core'
import type { AgentLine } from './agent-log.js'

type WatchLines = (status: WatchStatus, at: number) => readonly AgentLine[]

/**
 * What an agent logs of its watches. A server that is lost is one line, however many watches it had and however often the agent
 * tries, and one line when all are back. A server that is lost again within a minute, and again, is reported once more, and then
 * not before it has stayed for a minute. What concerns one kind alone, such as a permission, is a line of that kind.
 */
export function createWatchLines(): WatchLines {
  const phases = new Map<ObjectKind, WatchStatus['phase']>()
  const ofKind = createKindLines()
  const ofServer = createServerLines()
  return (status, at) => {
    const { kind, phase, error } = status
    const before = phases.get(kind)
    phases.set(kind, phase === 'connecting' || phase === 'listing' ? (before ?? phase) : phase)
    if (phase === 'lost') {
      const loss = { kind, code: error?.code ?? '', message: error?.message ?? 'unknown reason' }
      return ofKind.isOf(loss.code) ? ofKind.lost(loss) : ofServer.lost(loss, at)
    }
    if (phase !== 'watching') return []
    const back = [...ofKind.resumed(kind), ...ofServer.watching(kind, at)]
    return before === undefined || before === 'connecting' || before === 'listing'
      ? [info(`watching ${kind}s`), ...back]
      : back
  }
}

interface Loss {
  readonly kind: ObjectKind
  readonly code: string
  readonly message: string
}

/** Of each kind and reason one line, until the watch resumes. */
function createKindLines(): {
  readonly isOf: (code: string) => boolean
  readonly lost: (loss: Loss) => readonly AgentLine[]
  readonly resumed: (kind: ObjectKind) => readonly AgentLine[]
} {
  const said = new Map<ObjectKind, Set<string>>()
  return {
    isOf: (code) => !OF_SERVER.has(code),
    lost: ({ kind, code, message }) => {
      const before = said.get(kind)
      if (before?.has(code) === true) return []
      said.set(kind, new Set([...(before ?? []), code]))
      return [warning(`watch of ${kind}s is ${before === undefined ? '' : 'still '}down: ${message}; retrying`)]
    },
    resumed: (kind) => (said.delete(kind) ? [info(`watch of ${kind}s resumed`)] : []),
  }
}

/** A time without some or all of the server's watches. */
interface Outage {
  /** Whose watches are not back. */
  readonly kinds: Set<ObjectKind>
  /** Reasons that were reported. */
  readonly said: Set<string>
  /** How often the server was lost. */
  readonly times: number
  /** Since when all watches are back. */
  readonly backAt?: number
}

function createServerLines(): {
  readonly lost: (loss: Loss, at: number) => readonly AgentLine[]
  readonly watching: (kind: ObjectKind, at: number) => readonly AgentLine[]
} {
  let outage: Outage | undefined

  const begin = ({ kind, code, message }: Loss, at: number): readonly AgentLine[] => {
    const isAgain = outage?.backAt !== undefined && at - outage.backAt < SETTLED_MS
    const times = isAgain ? (outage?.times ?? 0) + 1 : 1
    outage = { kinds: new Set([kind]), said: new Set([reasonOf(code)]), times }
    if (times > 2) return []
    if (times === 1) return [warning(`${lossText(code)}: ${message}; retrying`)]
    return [
      warning(`${lossText(code)} again: ${message}; retrying; the next line comes when it has stayed for a minute`),
    ]
  }

  return {
    lost(loss, at) {
      if (outage === undefined || outage.backAt !== undefined) return begin(loss, at)
      outage.kinds.add(loss.kind)
      const reason = reasonOf(loss.code)
      if (outage.said.has(reason) || outage.times > 1) return []
      outage.said.add(reason)
      return [warning(`${lossText(loss.code)}: ${loss.message}; retrying`)]
    },
    watching(kind, at) {
      if (outage === undefined) return []
      if (outage.backAt === undefined) {
        if (!outage.kinds.delete(kind) || outage.kinds.size > 0) return []
        outage = { ...outage, backAt: at }
        return outage.times === 1 ? [info('the API server is back: all watches resumed')] : []
      }
      if (at - outage.backAt < SETTLED_MS) return []
      const { times } = outage
      outage = undefined
      return times === 1 ? [] : [info(`the API server is back to stay: it was lost ${times} times`)]
    },
  }
}

/** A server that comes and goes more often than this is one outage. */
const SETTLED_MS = 60_000

const CONNECTION: ReadonlySet<string> = new Set(['CONNECTION_LOST', 'UNREACHABLE', 'TIMED_OUT', 'NO_ANSWER', 'SILENT'])
/** A connection that breaks and a server that then refuses others are one outage. */
const reasonOf = (code: string): string => (CONNECTION.has(code) ? 'connection' : code)

/** Codes of failures that concern the server and not the kind: of the ApiServerErrors all. */
const OF_SERVER: ReadonlySet<string> = new Set([
  ...CONNECTION,
  'NO_CONFIGURATION',
  'KUBECONFIG_INVALID',
  'CONTEXT_NOT_FOUND',
  'CREDENTIALS_UNREADABLE',
  'EXEC_FAILED',
  'OIDC_FAILED',
  'TLS_FAILED',
  'BAD_ANSWER',
  'CLOSED',
  'UNAUTHORIZED',
  'THROTTLED',
  'SERVER_ERROR',
  'CLOSED_AT_ONCE',
])

function lossText(code: string): string {
  if (code === 'UNREACHABLE' || code === 'TIMED_OUT') return 'the API server cannot be reached'
  return CONNECTION.has(code) ? 'the connection to the API server is lost' : 'watches are down'
}

const info = (message: string): AgentLine => ({ level: 'info', message, verbosity: 0 })
const warning = (message: string): AgentLine => ({ level: 'warn', message, verbosity: 0 })
