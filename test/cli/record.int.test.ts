import { writeFileSync } from 'node:fs'
import { openChangeLog } from '@pointsman/core/io'
import { service, startTestApiServer, type TestApiServer } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { listsAskedOf, webService, webSlice, worldOf } from '../source/world.js'
import { runPointsman } from '../support/run-pointsman.js'
import { temporaryFolder } from '../support/shop.js'
import { type StartedCommand, startPointsman } from '../support/start-pointsman.js'

const folder = temporaryFolder()
const log = folder.path('cluster.db')
const kubeconfig = folder.path('kubeconfig')
let server: TestApiServer
let running: StartedCommand | undefined

beforeAll(async () => {
  server = await startTestApiServer()
  writeFileSync(kubeconfig, server.kubeconfig())
  server.put(service({ name: 'kubernetes', namespace: 'default' }))
  server.putAll(worldOf(10))
})
afterEach(async () => {
  running?.signal('SIGKILL')
  await running?.ended
})
afterAll(async () => {
  await server.close()
  folder.remove()
})

const start = (...args: readonly string[]): StartedCommand => {
  running = startPointsman(['record', '--kubeconfig', kubeconfig, '--log', log, ...args])
  return running
}

interface Logged {
  /** Every version of every object, in the order of the log. */
  readonly versions: readonly string[]
  /** Objects that are there at its end. */
  readonly objects: readonly string[]
}

function logged(file = log): Logged {
  const reader = openChangeLog(file)
  const versions = [...reader.records({ types: ['object'] })].map((record) =>
    record.type === 'object' ? `${record.event} ${record.kind} ${record.name} ${record.resourceVersion}` : '',
  )
  const { objects } = reader.objectsAt(reader.info().lastSeq)
  reader.close()
  return { versions, objects: objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted() }
}

/** What a service proxy watches of what the server has. */
const wanted = (): readonly string[] =>
  [...server.objects('services'), ...server.objects('endpointslices'), ...server.objects('nodes')]
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    .filter((name) => !/ headless| foreign/.test(name))
    .toSorted()

describe('a cluster', () => {
  test('is recorded until Ctrl-C, with what happens in it; a summary says what there is', async () => {
    const command = start()
    await command.hasSaid(/watching Services\n/)
    await command.hasSaid(/watching Nodes\n/)
    await command.hasSaid(/watching ServiceCIDRs\n/)
    server.put(webSlice(3, 5))
    const change = `MODIFIED EndpointSlice web-3-1 ${server.resourceVersion()}`
    server.delete(webService(4))
    await expect.poll(() => logged().versions, { timeout: 10_000 }).toContain(change)
    await expect.poll(() => logged().versions.at(-1), { timeout: 10_000 }).toMatch(/^DELETED Service web-4 /)

    command.signal('SIGINT')
    const { status, stdout, stderr } = await command.ended
    expect(status).toBe(0)
    expect(stdout.replaceAll(log, 'cluster.db').replace(/, \d{4}-.*\)/, ', SPAN')).toBe(
      [
        'recorded 29 events into cluster.db, SPAN',
        '  12 of Services, 11 of EndpointSlices, 2 of Nodes, 4 bookmarks',
        'next: pointsman services --log cluster.db',
        '',
      ].join('\n'),
    )
    expect(stderr.split('\n').toSorted()).toEqual([
      '',
      'watching EndpointSlices',
      'watching Nodes',
      'watching ServiceCIDRs',
      'watching Services',
    ])
    expect(logged().objects).toEqual(wanted())
  })

  test('is recorded on where the log ends, for as long as is said, without another list', async () => {
    const lists = listsAskedOf(server)
    const before = logged().versions
    server.put(webService(4))
    server.put(webSlice(5, 6))
    const { status, stdout } = await start('--for', '4s', '-o', 'json').ended
    expect(status).toBe(0)
    const document: unknown = JSON.parse(stdout)
    expect(schemaProblems(document, JSON_SCHEMAS.RecordSummary)).toEqual([])
    expect(document).toMatchObject({ kind: 'RecordSummary', log, kinds: { Service: 1, EndpointSlice: 1, Node: 0 } })
    expect(logged().versions.slice(0, before.length)).toEqual(before)
    expect(logged().versions).toHaveLength(before.length + 2)
    expect(logged().objects).toEqual(wanted())
    expect(listsAskedOf(server)).toBe(lists)
  })

  test('that is away is told of once, and recorded when it is there', async () => {
    await server.goAway()
    const command = start('--log', folder.path('late.db'))
    await command.hasSaid(/the API server cannot be reached: .*refuse/i)
    await server.comeBack()
    await command.hasSaid(/the API server is back: all watches resumed/)
    await expect.poll(() => logged(folder.path('late.db')).objects, { timeout: 10_000 }).toEqual(wanted())
    command.signal('SIGINT')
    const { status, stderr } = await command.ended
    expect(status).toBe(0)
    expect(stderr.match(/cannot be reached|is lost|is (?:still )?down/g)).toHaveLength(1)
  })

  test('that is never reached in the time that is given is an error, and says why', async () => {
    await server.goAway()
    const file = folder.path('never.db')
    const { status, stdout, stderr } = await start('--log', file, '--for', '3s').ended
    await server.comeBack()
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/never\.db: nothing was recorded in 3.0 s: .*refused/i)
  })

  test('is read, and never written to', () => {
    expect(new Set(server.requests.map(({ method }) => method))).toEqual(new Set(['GET']))
  })
})

describe('what cannot be is said in one line', () => {
  test('for a log of another cluster, which stays as it is', async () => {
    const other = await startTestApiServer()
    other.put(service({ name: 'older', namespace: 'default' }))
    other.put(service({ name: 'kubernetes', namespace: 'default', uid: 'uid-of-another' }))
    writeFileSync(folder.path('other-kubeconfig'), other.kubeconfig())
    const file = folder.path('other.db')
    const command = start('--kubeconfig', folder.path('other-kubeconfig'), '--log', file)
    for (const kind of ['Services', 'EndpointSlices', 'Nodes']) await command.hasSaid(new RegExp(`watching ${kind}\n`))
    command.signal('SIGINT')
    const first = await command.ended
    await other.close()
    expect(first).toMatchObject({ status: 0, stdout: expect.stringContaining(' 2 of Services') as string })

    // Where the log ends this cluster's watch could begin as well: nothing that follows would tell that it is another.
    const before = logged(file)
    const { status, stdout, stderr } = await start('--log', file, '--for', '5s').ended
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/other\.db: .*the log is of cluster.*: use another --log$/)
    expect(logged(file)).toEqual(before)
  })

  test.each([
    ['a kubeconfig that is not there', ['--kubeconfig', folder.path('none')], /none/],
    ['a context that is not there', ['--kubeconfig', kubeconfig, '--context', 'nowhere'], /nowhere.*--context/],
    ['a duration that is none', ['--kubeconfig', kubeconfig, '--for', 'ever'], /--for "ever"/],
    ['no log', ['--kubeconfig', kubeconfig, '--log', ''], /--log FILE/],
  ])('for %s', async (_, args, message) => {
    const unmade = folder.path('unmade.db')
    const { status, stdout, stderr } = await runPointsman(['record', '--log', unmade, ...args])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})
