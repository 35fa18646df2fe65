import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type KubernetesObject, type LogEntry, seq } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'

/** The log of an agent that has one Service, shop/web, on node-a: entries for it, and what appends them. */
export interface AgentLog {
  readonly path: string
  /** The Node and the Service. */
  readonly cluster: () => readonly LogEntry[]
  /** The Service has this endpoint from now on, and no other. */
  readonly endpoint: (address: string) => LogEntry
  /** A successful sync of all entries that were made before. */
  readonly sync: () => LogEntry
  readonly append: (...entries: readonly LogEntry[]) => void
  /** The command that appends them, by another process. */
  readonly appending: (...entries: readonly LogEntry[]) => string
}

export function createAgentLog(path: string): AgentLog {
  let made = 0
  let files = 0
  const event = (type: 'ADDED' | 'MODIFIED', object: KubernetesObject): LogEntry => ({
    type: 'event',
    event: { type, observedAt: START_MS + 1000 * ++made, object },
  })
  const appending = (...entries: readonly LogEntry[]): string => {
    const file = `${path}.${++files}.jsonl`
    writeFileSync(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    return `${process.execPath} ${APPEND} ${path} ${file}`
  }
  let slices = 0
  return {
    path,
    appending,
    append: (...entries) => {
      const [program = '', ...argv] = appending(...entries).split(' ')
      execFileSync(program, argv, { stdio: 'pipe' })
    },
    cluster: () => [
      event('ADDED', {
        ...node({ name: 'node-a' }),
        status: { addresses: [{ type: 'InternalIP', address: '192.168.55.10' }] },
      }),
      event('ADDED', service({ name: 'web', resourceVersion: '1' })),
    ],
    endpoint: (address) =>
      event(
        slices++ === 0 ? 'ADDED' : 'MODIFIED',
        slice({ name: 'web-1', service: 'web', endpoints: [address], resourceVersion: `${100 + slices}` }),
      ),
    sync: () => {
      const toSeq = seq(made)
      return {
        type: 'sync',
        observedAt: START_MS + 1000 * ++made,
        backend: 'iptables',
        fromSeq: seq(1),
        toSeq,
        full: false,
        changed: 1,
        durationMs: 1,
        rules: 1,
        bytes: 1,
        digest: '',
      }
    },
  }
}

const START_MS = Date.UTC(2026, 0, 1)
const APPEND = fileURLToPath(new URL('append-to-log.mjs', import.meta.url))
