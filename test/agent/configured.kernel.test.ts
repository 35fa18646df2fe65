import { appendFileSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChangeLogReader, seq } from '@pointsman/core'
import { openChangeLog } from '@pointsman/core/io'
import { service } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, CLUSTER_CIDR, createAgentNode } from './agent-node.js'
import { holdPort } from './hold-port.js'
import type { RunningAgent } from './running-agent.js'
import { HEALTH_CHECK_NODE_PORT, NODE_PORT, SMALL_WORLD, webSliceWith } from './small-world.js'

describeIptables('the agent, configured', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(SMALL_WORLD)
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })
  afterEach(() => node.stopAll())

  const saysThatLogIsNotWritten = async (agent: RunningAgent, why: RegExp): Promise<void> => {
    await agent.hasSaid(/the change log is not writable; .* without it/)
    // On a slow machine the first that is said of a log is that it takes long.
    await vi.waitFor(
      async () => {
        const readiness: unknown = JSON.parse((await node.get('http://127.0.0.1:10249/readyz')).body)
        expect(readiness).toMatchObject({ log: { ok: false, message: expect.stringMatching(why) } })
      },
      { timeout: 10_000, interval: 200 },
    )
    const { body } = await node.get('http://127.0.0.1:10249/metrics')
    expect(body).toMatch(/^pointsman_log_degraded 1$/m)
  }

  const historyIn = async (log: string): Promise<string> => (await node.pointsman('log', '--log', log)).stdout

  const natRules = (): string => node.run('iptables-nft-save -t nat')

  test('is of the Node that it is told, serves health and node ports where it is told, and no metrics', async () => {
    const log = folder.path('new/folder/log.db')
    const servers = ['--healthz-bind-address', '192.168.55.10:11256', '--metrics-bind-address', '']
    const ofNode = ['--log', log, '--hostname-override', 'Node-B', '--nodeport-addresses', '192.168.55.0/24']
    const agent = node.start(...ofNode, ...servers)
    await agent.hasSaid(/synced everything/)
    const urls = [
      'http://192.168.55.10:11256/healthz',
      'http://127.0.0.1:10256/healthz',
      'http://127.0.0.1:10249/healthz',
    ]
    expect((await Promise.all(urls.map(node.get))).map(({ status }) => status)).toEqual([200, 0, 0])
    const balanced = await node.get(`http://192.168.55.10:${HEALTH_CHECK_NODE_PORT}`)
    expect(JSON.parse(balanced.body)).toMatchObject({ localEndpoints: 2 })
    expect(await node.get(`http://127.0.0.1:${HEALTH_CHECK_NODE_PORT}`)).toMatchObject({ status: 0 })
    expect(natRules()).toMatch(/-A KUBE-SERVICES -d 192\.168\.55\.10\/32 .*-j KUBE-NODEPORTS/)
    expect(natRules()).not.toMatch(/-A KUBE-SERVICES .*--dst-type LOCAL -j KUBE-NODEPORTS/)
    expect(natRules()).toContain(`--dport ${NODE_PORT}`)
    expect(statSync(log).mode & 0o777).toBe(0o600)

    // Another on the same log would undo what the first one does.
    const second = node.start('--log', log, '--hostname-override', 'node-b', '--healthz-bind-address', '')
    expect((await second.ended).status).toBe(3)
    expect(errorLines(second)).toEqual([
      `error: ${log}: another process is writing the log: stop it, or use another file (SQLITE_BUSY)`,
    ])
    agent.signal('SIGTERM')
    expect(await agent.ended).toEqual({ status: 0, signal: null })

    // Its rules stay right, and the log is the other node's still.
    const other = node.start('--log', log)
    await other.hasSaid(/is the log of node node-b, not of node-a: use another --log/)
    await other.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
    await saysThatLogIsNotWritten(other, /belongs to another node/)
  })

  test('ends in one line where a port is taken, and that is to be the end', async () => {
    const free = await holdPort(10_256)
    const agent = node.start('--bind-address-hard-fail')
    expect(await agent.ended).toEqual({ status: 3, signal: null })
    free()
    expect(errorLines(agent)).toEqual([
      'error: cannot serve health on 0.0.0.0:10256: another process has the port; free it or change healthzBindAddress',
    ])
  })

  test('makes one sync of a burst', async () => {
    const agent = node.start('--iptables-min-sync-period', '1500ms', '-v', '2')
    await agent.hasSaid(/synced everything/)
    await sleep(1600)
    await node.server.put(webSliceWith('10.244.3.1'))
    await agent.hasSaid(/synced 1 service ports/)
    await node.server.putAll(
      Array.from({ length: 30 }, (_, index) =>
        service({ name: `late-${index}`, spec: { clusterIP: `10.97.1.${index}` } }),
      ),
    )
    await agent.hasSaid(/synced 30 service ports/)
    expect(await node.differences()).toEqual([])
  })

  test('removes old records from its log, and none that its state needs', async () => {
    const log = folder.path('kept.db')
    // The pauses between looks at what is too old are minutes otherwise.
    const hurry = folder.path('hurry.mjs')
    writeFileSync(hurry, HURRY)
    const agent = node.startAfter(`export NODE_OPTIONS='--import ${hurry}'`, '--log', log, '--log-max-age', '1s')
    await agent.hasSaid(/synced everything/)
    const gone = async (): Promise<void> =>
      expect((await node.pointsman('log', '--log', log)).stdout).not.toContain('ADDED')
    await vi.waitFor(gone, { timeout: 10_000, interval: 200 })
    expect((await node.pointsman('services', '--log', log)).stdout).toMatch(/shop\/web\b/)
    agent.signal('SIGTERM')
    await agent.ended
    const again = node.start('--log', log)
    await again.hasSaid(/starting from the logged state/)
    await again.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
  })

  test('keeps rules right with a full or read-only log, says so, marks the gap; and waits for a port that is taken', async () => {
    const free = await holdPort(10_256)
    const mounted = '/mnt'
    const log = `${mounted}/log.db`
    const agent = node.startAfter(
      `mount -t tmpfs -o size=4m,mode=700 none ${mounted}`,
      '--log',
      log,
      '--iptables-min-sync-period',
      '10ms',
    )
    await agent.hasSaid(/cannot serve health on 0\.0\.0\.0:10256.*retrying/)
    free()
    const inAgent = (path: string): string => `/proc/${agent.pid}/root${path}`
    await agent.hasSaid(/synced everything/)

    fill(inAgent(`${mounted}/filler`))
    await node.server.put(webSliceWith('10.244.3.2'))
    for (let index = 0; index < 40; index++) await node.server.put(webSliceWith(`10.244.4.${index}`))
    await node.converged(40_000)
    await saysThatLogIsNotWritten(agent, /full/)
    rmSync(inAgent(`${mounted}/filler`))
    await agent.hasSaid(/the change log is writable again/)
    // By now the port has been had as well.
    expect(await node.get('http://127.0.0.1:10256/healthz')).toMatchObject({ status: 200 })
    // The notice is behind the entries that were kept for the log.
    await vi.waitFor(
      async () => expect(await historyIn(inAgent(log))).toMatch(/LOG_GAP\n.*\(LOG_FULL\).* 0 of them are lost/),
      { timeout: 20_000, interval: 200 },
    )
    agent.signal('SIGTERM')
    await agent.ended

    const readOnly = node.startAfter(`mount -t tmpfs -o ro,mode=700 none ${mounted}`, '--log', log)
    await readOnly.hasSaid(/synced everything/)
    await node.server.put(webSliceWith('10.244.3.4'))
    await node.converged(40_000)
    await saysThatLogIsNotWritten(readOnly, /writable/)
    expect(readOnly.said()).not.toContain('cannot serve')
  })

  test('a log that comes after the start gets what happened in its order, and the next start finds what is gone', async () => {
    const disk = folder.path('late')
    const log = `${disk}/log.db`
    mkdirSync(disk, { mode: 0o700 })
    const ghost = service({ name: 'ghost', spec: { clusterIP: '10.96.0.66' } })
    await node.server.putAll([...SMALL_WORLD, ghost])
    const first = node.start('--log', log)
    await first.hasSaid(/synced everything/)
    first.signal('SIGTERM')
    await first.ended
    const { lastSeq: unread } = readingLog(log, (reader) => reader.info())
    await node.server.delete(ghost)

    const agent = node.startAfter(`mount -t tmpfs -o ro,mode=700 none ${disk}`, '--log', log)
    await agent.hasSaid(/synced everything/)
    await node.server.put(webSliceWith('10.244.3.7'))
    await node.converged(40_000)
    node.run(`nsenter --target ${agent.pid} --mount umount --lazy ${disk}`)
    await agent.hasSaid(/the change log is writable again/)
    await node.server.put(webSliceWith('10.244.3.8'))
    await node.converged(40_000)
    await vi.waitFor(() => {
      const { syncs, events, codes } = readingLog(log, (reader) => {
        const records = [...reader.records({ fromSeq: seq(unread + 1) })]
        return {
          syncs: records.flatMap((record) => (record.type === 'sync' ? [record] : [])),
          events: records.flatMap((record) => (record.type === 'object' ? [[record.name, record.seq] as const] : [])),
          codes: records.flatMap((record) => (record.type === 'notice' ? [record.code] : [])),
        }
      })
      expect(codes).toContain('LOG_UNREAD')
      for (const sync of syncs) {
        expect(sync.toSeq).toBeGreaterThan(unread)
        expect(sync.toSeq).toBeLessThan(sync.seq)
      }
      // The last sync is that of the last event.
      expect(syncs.at(-1)?.toSeq).toBe(events.findLast(([name]) => name === 'web-1')?.[1])
    }, SOON)
    agent.signal('SIGKILL')
    await agent.ended
    const next = node.start('--log', log)
    await next.hasSaid(/starting from the logged state/)
    await node.converged(40_000)
    expect(natRules() + node.run('iptables-nft-save -t filter')).not.toContain('10.96.0.66')
    await vi.waitFor(
      () =>
        expect(
          readingLog(log, (reader) =>
            reader.objectsAt(reader.info().lastSeq).objects.map(({ metadata }) => metadata.name),
          ),
        ).not.toContain('ghost'),
      SOON,
    )
  })

  test('does not program a log that is too old before the server confirms it, also where nothing has changed', async () => {
    const first = node.start()
    await first.hasSaid(/synced everything/)
    first.signal('SIGTERM')
    await first.ended
    emptyTables(node)
    await node.server.goAway()
    const agent = node.start('--max-log-age-at-start', '1ms')
    await agent.hasSaid(/waiting for the API server/)
    await agent.hasSaid(/cannot be reached|is lost|are down/)
    expect(natRules()).not.toContain('KUBE-SVC')
    // The lists end at the resourceVersion that the log has already.
    await node.server.comeBack()
    await agent.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
    expect(agent.said()).not.toContain('no Node object')
  })

  // The last one: the jumps of built-in chains end in another order.
  test('changes the layout with --layout at its next start, and back, and leaves nothing of either', async () => {
    const log = folder.path('layouts.db')
    const linesWith = (words: RegExp): readonly string[] =>
      node
        .saved('iptables-save.txt')
        .split('\n')
        .filter((line) => words.test(line))
    const kube = (): readonly string[] => linesWith(/KUBE-/).toSorted()
    const readings: (readonly string[])[] = []
    for (const layout of ['current', 'classic', 'current', 'classic', 'current']) {
      const agent = node.start('--log', log, '--layout', layout)
      await agent.hasSaid(/synced everything/)
      readings.push(kube())
      const other = layout === 'current' ? 'classic' : 'current'
      expect(agent.said().includes(`layout ${layout}: the rules of layout ${other}, which the log says`)).toBe(
        readings.length > 1,
      )
      const audited = await node.pointsman('audit', '--log', log, '--cluster-cidr', CLUSTER_CIDR, '--family', 'ipv4')
      expect(audited).toMatchObject({ status: 0 })
      agent.signal('SIGTERM')
      expect(await agent.ended).toEqual({ status: 0, signal: null })
    }
    expect(readings[0]?.some((line) => line.includes('KUBE-PROXY-FIREWALL'))).toBe(true)
    expect(readings[1]?.some((line) => line.includes('KUBE-MARK-DROP'))).toBe(true)
    expect(readings[1]?.some((line) => /KUBE-(?:PROXY-FIREWALL|EXT-|SVL-)/.test(line))).toBe(false)
    expect([readings[2], readings[3], readings[4]]).toEqual([readings[0], readings[1], readings[0]])
    expect(JSON.parse((await node.pointsman('render', '--log', log, '-o', 'json')).stdout)).toMatchObject({
      layout: 'current',
    })
  })
})

const SOON = { timeout: 20_000, interval: 200 }

function readingLog<Result>(file: string, read: (reader: ChangeLogReader) => Result): Result {
  const reader = openChangeLog(file)
  try {
    return read(reader)
  } finally {
    reader.close()
  }
}

const HURRY = `
const set = globalThis.setInterval
globalThis.setInterval = (call, ms, ...rest) => set(call, ms === 60_000 || ms === 600_000 ? 1500 : ms, ...rest)
`

/** Lines that are none of the text log's. */
const errorLines = (agent: RunningAgent): readonly string[] =>
  agent
    .said()
    .split('\n')
    .filter((line) => line !== '' && !/^\d{4}-\S+Z (?:info|warn) /.test(line))

/** Takes all the space that there is. */
function fill(path: string): void {
  for (const size of [2 ** 20, 4096, 1]) {
    try {
      for (;;) appendFileSync(path, Buffer.alloc(size))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
    }
  }
}

/** As after a start of the machine. */
function emptyTables({ run }: AgentNode): void {
  for (const table of ['nat', 'filter', 'mangle']) {
    run(`iptables-nft -t ${table} -F`)
    run(`iptables-nft -t ${table} -X`)
  }
}
