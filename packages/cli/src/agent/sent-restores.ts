import type { IpFamily } from '@pointsman/core'
import type { Iptables } from 'node-iptables'
import type { SentRestore } from './http/restore-text.js'

/** The last restores of each family: the last that succeeded, and the last that failed. */
export interface SentRestores {
  /** iptables that remembers what it restores. */
  readonly remembering: (iptables: Iptables) => Iptables
  readonly succeeded: () => readonly SentRestore[]
  readonly failed: () => readonly SentRestore[]
}

/** `now`: milliseconds since 1970 UTC. Of a restore what it was made from is kept, and its text made when it is asked for. */
export function createSentRestores(now: () => number): SentRestores {
  const last = { succeeded: new Map<IpFamily, Sent>(), failed: new Map<IpFamily, Sent>() }
  return {
    remembering: (iptables) => ({
      ...iptables,
      async restore(request, limits) {
        const sent = { family: iptables.family, at: now(), request }
        try {
          await iptables.restore(request, limits)
          last.succeeded.set(iptables.family, sent)
        } catch (error) {
          last.failed.set(iptables.family, { ...sent, error: error instanceof Error ? error.message : String(error) })
          throw error
        }
      },
    }),
    succeeded: () => [...last.succeeded.values()].map(shown),
    failed: () => [...last.failed.values()].map(shown),
  }
}

interface Sent {
  readonly family: IpFamily
  readonly at: number
  readonly request: Parameters<Iptables['restore']>[0]
  readonly error?: string
}

const shown = ({ family, at, request, error }: Sent): SentRestore => ({
  family,
  at,
  lines: linesOf(request),
  ...(error !== undefined && { error }),
})

function linesOf(request: Sent['request']): readonly string[] {
  if ('text' in request) return request.text.split('\n')
  const lines = typeof request.lines === 'function' ? request.lines() : request.lines
  return Symbol.iterator in lines ? [...lines] : []
}
