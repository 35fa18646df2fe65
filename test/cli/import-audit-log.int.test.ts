import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { runInProcess } from '../support/run-in-process.js'
import { temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

function file(name: string, content: string | Buffer): string {
  writeFileSync(folder.path(name), content)
  return folder.path(name)
}

/** Inputs as people have them: fixtures/reports, and others of their kinds. */
const report = (path: string): string => fileURLToPath(new URL(`../../fixtures/reports/${path}`, import.meta.url))

async function pointsman(...args: readonly string[]) {
  const command = runInProcess(args)
  const status = await command.ended
  return { status, stdout: command.stdout(), stderr: command.stderr() }
}

describe('an API audit log (23-audit-log-import)', () => {
  const AUDIT = report('23-audit-log-import/audit.log')
  const lines = readFileSync(AUDIT, 'utf8').trim().split('\n')
  type Event = { [field: string]: unknown }
  const first = (changes: Event): string => JSON.stringify({ ...(JSON.parse(lines[0] ?? '') as Event), ...changes })
  const imported = async (name: string, ...events: readonly string[]) => {
    const log = folder.path(`${name}.db`)
    const result = await pointsman('import', file(`${name}.log`, [...events, ''].join('\n')), '--log', log)
    return { ...result, log }
  }

  test('becomes events with its times and its user', async () => {
    const log = folder.path('audited.db')
    const { status, stdout, stderr } = await pointsman('import', AUDIT, '--log', log)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('imported 3 events')
    expect(stdout).toContain('2026-11-30T08:00:00.010Z to 2026-11-30T08:00:02.010Z')
    expect(stdout).not.toContain('estimated')
    const history = await pointsman('log', '--log', log)
    expect(history.stdout.match(/^ +by kubectl-user$/gm)).toHaveLength(3)
    expect(history.stdout).toMatch(/seq 3 {2}2026-11-30T08:00:02\.010Z {2}MODIFIED EndpointSlice app\/web-abc/)
  })

  test.each<readonly [string, Event, RegExp]>([
    ['failed', { responseStatus: { code: 409 } }, /nothing but 1 failed create of services/],
    ['dry-run', { requestURI: '/api/v1/namespaces/app/services?dryRun=All' }, /nothing but 1 dry run of services/],
    ['early', { stage: 'RequestReceived' }, /nothing but 1 audit stage RequestReceived/],
    ['read', { verb: 'list' }, /nothing but 1 list of services/],
    ['other', { objectRef: { resource: 'leases', name: 'web' } }, /nothing but 1 request for leases/],
    [
      'metadata',
      { level: 'Metadata', responseObject: undefined },
      /an API audit log of level Metadata, which does not hold the object: record services with level RequestResponse/,
    ],
    [
      'collection',
      { verb: 'deletecollection' },
      /does not hold each object that a deletecollection of services deleted/,
    ],
    ['list', { kind: 'EventList', items: [] }, /a list of an API audit log: give its items/],
  ])('without anything to import is refused, and leaves no log: %s', async (name, changes, message) => {
    const { status, stdout, stderr, log } = await imported(name, first(changes))
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: [^\n]*: nothing to import, and \S+\.db was not created\n$/)
    expect(stderr).toMatch(message)
    expect(existsSync(log)).toBe(false)
  })

  test('tells deletions: answered with the object, with a Status, and held by a finalizer', async () => {
    const ended = {
      responseObject: { kind: 'Status', status: 'Success', details: {} },
      stageTimestamp: '2026-11-30T08:00:05Z',
    }
    const status = await imported('status', ...lines, first({ verb: 'delete', ...ended }))
    expect((await pointsman('log', '--log', status.log)).stdout).toMatch(
      /DELETED Service app\/web\n +by kubectl-user\n +was ClusterIP 10\.96\.3\.3/,
    )
    const { responseObject } = JSON.parse(lines[0] ?? '') as { readonly responseObject: { readonly metadata: object } }
    const held = (finalizers: readonly string[], at: number): Event => ({
      stageTimestamp: `2026-11-30T08:00:0${at}Z`,
      responseObject: {
        ...responseObject,
        metadata: {
          ...responseObject.metadata,
          resourceVersion: `4${at}`,
          deletionTimestamp: '2026-11-30T08:00:05Z',
          finalizers,
        },
      },
    })
    const log = (
      await imported(
        'held',
        ...lines,
        first({ verb: 'delete', ...held(['x/y'], 5) }),
        first({ verb: 'patch', ...held([], 6) }),
      )
    ).log
    const { stdout } = await pointsman('log', 'app/web', '--log', log)
    expect(stdout.match(/[A-Z]+ Service app\/web/g)).toEqual([
      'DELETED Service app/web',
      'MODIFIED Service app/web',
      'ADDED Service app/web',
    ])
  })
})

describe('an import that finds no events', () => {
  test.each<readonly [string, string | Buffer, RegExp]>([
    [
      'a save',
      '# Generated by iptables-save v1.8.9\n*nat\nCOMMIT\n',
      /:1: this is the output of iptables-save: give it with --rules/,
    ],
    ['a page', '<!doctype html>\n<html></html>\n', /:1: this is an HTML page/],
    ['objects', '{"kind":"Service","metadata":{"name":"a"}}\n', /:1: an object, not a watch event: .* use --objects/],
    ['nothing', '', /: no watch events/],
    ['a table', 'NAME   TYPE        CLUSTER-IP\na      ClusterIP   10.96.0.1\n', /:1: this is a table of kubectl get/],
    ['an archive', Buffer.from('PK\u0003\u0004aaaaaaaaaaaaaaaaaaa'), /a zip archive/],
  ])('is refused in one line and makes no log: %s', async (name, content, message) => {
    const log = folder.path(`${name}.db`)
    const { status, stdout, stderr } = await pointsman('import', file(name, content), '--log', log)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: [^\n]*\n$/)
    expect(stderr).toMatch(message)
    expect(existsSync(log)).toBe(false)
  })

  test('keeps the notices where events come after them', async () => {
    const log = folder.path('later.db')
    const event =
      '{"observedAt":"2026-11-30T08:00:00Z","type":"ADDED","object":{"kind":"Service","metadata":{"name":"a"}}}'
    const { stdout } = await pointsman(
      'import',
      file('later', `W1130 08:00:00.000000       1 warnings.go:70] x\n${event}\n`),
      '--log',
      log,
    )
    expect(stdout).toMatch(/imported 1 event .*\n(?:.*\n)* +1 {2}lines that are no events, kept as notices/)
  })
})
