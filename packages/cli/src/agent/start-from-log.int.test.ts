import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { frontKey, type LogEntry, seq } from '@pointsman/core'
import { openChangeLogWriter } from '@pointsman/core/io'
import { createEventMaker, node, service, slice } from '@pointsman/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { type StartFromLogOptions, startFromLog } from './start-from-log.js'

const START = Date.UTC(2026, 0, 1)
const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const newFile = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'agent-start-'))
  folders.push(folder)
  return join(folder, 'log.db')
}

const dns = { name: 'dns', resourceVersion: '5', spec: { ports: [{ name: 'dns', protocol: 'UDP', port: 53 }] } }

function logWith(entries: readonly LogEntry[]): string {
  const file = newFile()
  const log = openChangeLogWriter(file, { durability: 'normal', node: 'node-a', bootId: 'first' })
  log.appendSync(
    entries.map((entry, index) => {
      const observedAt = START + index * 1000
      return entry.type === 'event' ? { ...entry, event: { ...entry.event, observedAt } } : { ...entry, observedAt }
    }),
  )
  log.close()
  return file
}

const make = createEventMaker(START)
const whole = (kind: 'Service' | 'EndpointSlice', resourceVersion: string): LogEntry => ({
  type: 'event',
  event: { type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd: true, observedAt: START },
})
const ENTRIES: readonly LogEntry[] = [
  { type: 'event', event: make.added(service(dns)) },
  { type: 'event', event: make.added(slice({ name: 'dns-1', service: 'dns', endpoints: ['10.244.1.1'] })) },
  whole('Service', '9'),
  whole('EndpointSlice', '9'),
]

const SYNC = {
  type: 'sync',
  observedAt: 0,
  backend: 'iptables',
  fromSeq: seq(1),
  toSeq: seq(4),
  full: true,
  changed: 1,
  durationMs: 1,
  rules: 1,
  bytes: 1,
  digest: 'x',
} as const

async function started(options: Partial<StartFromLogOptions> & { readonly file: string }) {
  const warnings: string[] = []
  const logged = startFromLog({
    backend: 'iptables',
    nodeName: 'node-a',
    bootId: 'first',
    now: () => START + 60_000,
    onWarning: (message) => warnings.push(message),
    ...options,
  })
  const start = await logged.read()
  start.fold.apply()
  return { ...start, synced: logged.synced, warnings, services: [...start.fold.state.services.keys()] }
}

describe('an agent that starts', () => {
  it('has the state of its log, its age, and where each watch goes on', async () => {
    const start = await started({ file: logWith(ENTRIES) })
    expect(start.services).toHaveLength(1)
    expect(start.fromLog).toEqual({ seq: 4, at: START + 3000, rebooted: false })
    expect(start.resume).toEqual({ Service: { resourceVersion: '9' }, EndpointSlice: { resourceVersion: '9' } })
    expect(start.warnings).toEqual([])
  })

  it('has nothing without a log, and says nothing of it', async () => {
    expect(await started({ file: newFile() })).toMatchObject({ head: 0, services: [], warnings: [] })
  })

  it('has nothing from a log that is none, or of another node, and says why', async () => {
    const noLog = newFile()
    writeFileSync(noLog, 'something else altogether'.repeat(100))
    expect((await started({ file: noLog })).warnings).toEqual([expect.stringContaining('not a change log')])
    const other = await started({ file: logWith(ENTRIES), nodeName: 'node-b' })
    expect([other.services, other.fromLog]).toEqual([[], undefined])
    expect(other.warnings).toEqual([expect.stringContaining('is the log of node node-a, not of node-b')])
  })

  it('knows that the machine has been started since', async () => {
    expect((await started({ file: logWith(ENTRIES), bootId: 'second' })).fromLog?.rebooted).toBe(true)
  })

  it('waits for the API server when the state is older than it may be, and lists everything anew', async () => {
    const start = await started({ file: logWith(ENTRIES), maxAgeMs: 10_000 })
    expect([start.fromLog, start.received.size, start.resume]).toEqual([undefined, 0, {}])
    expect(start.warnings).toEqual([expect.stringContaining('57 s old, older than --max-log-age-at-start')])
    expect(start.known.of('Service').size).toBe(1)
    expect((await started({ file: logWith(ENTRIES), maxAgeMs: 57_000 })).fromLog).toBeDefined()
  })

  it('waits for the API server when a list was not received whole', async () => {
    const start = await started({ file: logWith(ENTRIES.slice(0, 3)) })
    expect([start.fromLog, start.received.size]).toEqual([undefined, 0])
  })

  describe('knows before it has read the objects', () => {
    const MARKED = { ...SYNC, mark: 'tables; rules' }
    const synced = async (entries: readonly LogEntry[], options: Partial<StartFromLogOptions> = {}) => {
      const start = await started({ file: logWith(entries), ...options })
      return [start.synced?.seq, start.lastSync]
    }
    const last = { digest: 'x', mark: 'tables; rules' }
    const UNREAD: LogEntry = { type: 'notice', observedAt: 0, code: 'LOG_UNREAD', message: '' }
    const change: LogEntry = {
      type: 'event',
      event: make.modified(slice({ name: 'dns-1', service: 'dns', resourceVersion: '77', endpoints: [] })),
    }

    it('that the last sync has all of it, and the Node that its rules are for', async () => {
      const ownNode = { type: 'event', event: make.added(node({ name: 'node-a' })) } as const
      const start = await started({
        file: logWith([ownNode, ...ENTRIES, { ...MARKED, toSeq: seq(5) }, whole('Service', '99')]),
      })
      expect(start.synced).toMatchObject({ seq: 7, rebooted: false, node: { name: 'node-a' } })
    })

    it.each([
      ['not where an object has changed since', [...ENTRIES, MARKED, change], {}, [undefined, last]],
      ['not where it is not known what the sync left', [...ENTRIES, SYNC], {}, [undefined, undefined]],
      ['not where the sync was not made from the log', [...ENTRIES, UNREAD, MARKED], {}, [undefined, last]],
      ['not after a reboot', [...ENTRIES, MARKED], { bootId: 'second' }, [undefined, last]],
      ['not where the state is too old', [...ENTRIES, MARKED], { maxAgeMs: 10_000 }, [undefined, last]],
      ['nothing of another node', [...ENTRIES, MARKED], { nodeName: 'node-b' }, [undefined, undefined]],
      [
        'and a sync of another backend tells nothing',
        [...ENTRIES, MARKED],
        { backend: 'nftables' },
        [undefined, undefined],
      ],
    ])('%s', async (_, entries, options, expected) => expect(await synced(entries, options)).toEqual(expected))
  })

  describe('remembers the UDP fronts', () => {
    const gone: LogEntry = { type: 'event', event: make.deleted(service({ ...dns, resourceVersion: '12' })) }
    const notice = (code: string): LogEntry => ({ type: 'notice', observedAt: 0, code, message: '' })
    const syncTo = (end: number): LogEntry => ({ ...SYNC, toSeq: seq(end) })
    const other = (version: number): LogEntry => ({
      type: 'event',
      event: make.modified(slice({ name: 'dns-1', service: 'dns', resourceVersion: `${version}`, endpoints: [] })),
    })
    const former = async (...entries: readonly LogEntry[]): Promise<readonly string[]> =>
      (await started({ file: logWith(entries) })).formerFronts.map(frontKey)
    const FAILED = [...ENTRIES, SYNC, gone, syncTo(6), notice('FLOWS_PENDING')]
    const DNS = [expect.stringMatching(/53/)]

    it.each([
      ['that were in force, gone ones included', [...ENTRIES, SYNC, gone], DNS],
      ['of a sync whose flows may not have been deleted before the end', [...ENTRIES, SYNC, gone, syncTo(6)], DNS],
      [
        'not of one that others followed',
        [...ENTRIES, SYNC, gone, syncTo(6), other(13), syncTo(8), other(14), syncTo(10)],
        [],
      ],
      [
        'as long as conntrack failed',
        [...FAILED, other(13), syncTo(9), other(14), syncTo(11), other(15), syncTo(13), notice('FLOWS_PENDING')],
        DNS,
      ],
      [
        'until that has been made up for',
        [...FAILED, other(13), syncTo(9), other(14), syncTo(11), notice('FLOWS_CLEARED'), other(15), syncTo(14)],
        [],
      ],
      ['none where there was no sync', ENTRIES, []],
    ])('%s', async (_, entries, expected) => expect(await former(...entries)).toEqual(expected))

    it('and whether flows are pending', async () => {
      const pending = [...ENTRIES, SYNC, notice('FLOWS_PENDING')]
      expect((await started({ file: logWith(pending) })).flowsPending).toBe(true)
      expect((await started({ file: logWith([...pending, notice('FLOWS_CLEARED')]) })).flowsPending).toBe(false)
    })
  })

  it('has its state also where retention has removed the last sync and all before it', async () => {
    const file = logWith([...ENTRIES, SYNC])
    const log = openChangeLogWriter(file, { durability: 'normal', node: 'node-a' })
    log.prune({ maxAgeMs: 1, now: START + 1e9 })
    log.close()
    const { warnings, services, fromLog } = await started({ file })
    expect([warnings, services.length, fromLog?.seq]).toEqual([[], 1, 5])
  })
})
