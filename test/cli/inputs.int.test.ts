import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
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

describe('an object that is given twice (15-object-twice)', () => {
  const objects = ['--objects', report('15-object-twice/watch.yaml')]

  test.each([
    ['explain', ['explain', 'x/a'], /cluster IP 10\.96\.1\.1:81 /],
    ['services', ['services'], /x\/a +ClusterIP +TCP +10\.96\.1\.1:81 /],
    ['render', ['render'], /-d 10\.96\.1\.1\/32 .*--dport 81 /],
    ['rules', ['rules', 'x/a', '--cluster-cidr', '10.244.0.0/16'], /10\.96\.1\.1:81/],
  ])('is the newer one to %s', async (_, args, wanted) => {
    const { stdout, stderr } = await pointsman(...args, ...objects)
    expect(stdout).toMatch(wanted)
    expect(stdout).not.toMatch(/10\.96\.1\.1:80|--dport 80 /)
    expect(stderr).toContain(
      'warning: Service x/a is given twice, with different content: the newest is used (resourceVersion 70)\n',
    )
  })
})

describe('what kubectl prints as several documents (16-cluster-info-dump)', () => {
  test('cluster-info dump is read, with the logs between', async () => {
    const { status, stdout, stderr } = await pointsman('services', '--objects', report('16-cluster-info-dump/dump.txt'))
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('error') })
    expect(stdout).toMatch(/app\/web:http +ClusterIP +TCP +10\.96\.3\.3:80 +1\/1 /)
  })

  test('get --watch -o json is read to the last version of each', async () => {
    const { status, stdout } = await pointsman('services', '--objects', report('16-cluster-info-dump/watch.json'))
    expect(status).toBe(0)
    expect(stdout).toMatch(/app\/web:http +ClusterIP +TCP +10\.96\.3\.3:80 +none/)
  })
})

describe('a configuration as kubeadm has it (22-config-as-kubeadm-has-it)', () => {
  const objects = ['--objects', report('22-config-as-kubeadm-has-it/base.yaml')]
  const config = (name: string) => ['--config', report(`22-config-as-kubeadm-has-it/${name}.yaml`)]

  test('is taken out of its ConfigMap', async () => {
    const explained = await pointsman('explain', 'default/kubernetes', ...objects, ...config('configmap'))
    expect(explained).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('is served by 1 endpoint'),
    })
    const { stdout } = await pointsman('render', ...objects, ...config('configmap'))
    expect(stdout).toContain('! -s 10.244.0.0/16 -d 10.96.0.1/32')
  })

  test.each([
    ['explain', ['explain', 'default/kubernetes'], 'is served by 1 endpoint'],
    ['services', ['services'], '10.96.0.1:443  1/1'],
  ])('of mode ipvs is answered by %s with a warning', async (_, args, wanted) => {
    const { status, stdout, stderr } = await pointsman(...args, ...objects, ...config('ipvs'))
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining(wanted) })
    expect(stderr).toMatch(/^warning: .*ipvs\.yaml: mode is ipvs: .*\n$/)
  })

  test.each([['render'], ['audit'], ['trace', 'tcp 10.244.1.9 -> 10.96.0.1:443'], ['rules', 'default/kubernetes']])(
    'of mode ipvs is refused by %s, which is about rules',
    async (...args) => {
      const { status, stdout, stderr } = await pointsman(...args, ...objects, ...config('ipvs'))
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
      expect(stderr).toMatch(/^error: .*mode "ipvs" is not supported: .*\n$/)
    },
  )
})

describe('rules as they are pasted (17-pasted-rules)', () => {
  const trace = (rules: string, ...more: readonly string[]) =>
    pointsman('trace', 'tcp 10.42.0.9 -> 10.43.0.1:443', '--rules', rules, '--node-address', '192.0.2.10', ...more)
  const pasted = (name: string): string => report(`17-pasted-rules/${name}.txt`)

  test('are read with carriage returns as with a prompt', async () => {
    const [crlf, prompt] = [await trace(pasted('crlf')), await trace(pasted('with-prompt'))]
    expect(crlf.stdout).toContain('sent to 192.0.2.10:6443')
    expect(prompt).toEqual(crlf)
  })

  test('are read as iptables -t nat -S prints them, of which the table is said', async () => {
    const { status, stdout } = await trace(pasted('iptables-t-nat-S'))
    expect(status).toBe(0)
    expect(stdout).toContain('sent to 192.0.2.10:6443')
    expect(stdout).toMatch(/assumed: no line names the tables: they are inferred from the chains.*: nat \(14\)/)
    expect(stdout).toMatch(/assumed: the rules have no table filter/)
  })

  test('are read as grep leaves them, with what is taken for granted', async () => {
    const { stdout } = await trace(pasted('iptables-save-grep-KUBE'), '-o', 'json')
    const { assumptions } = JSON.parse(stdout) as { readonly assumptions: readonly { readonly code: string }[] }
    expect(assumptions.filter(({ code }) => code === 'RULES_INFERRED')).toHaveLength(5)
    expect(stdout).toContain('rules that are not in it are taken not to be there')
  })

  test('are refused to an audit when they are a part', async () => {
    const objects = ['--objects', report('22-config-as-kubeadm-has-it/base.yaml')]
    const { status, stderr } = await pointsman('audit', '--rules', pasted('iptables-save-grep-KUBE'), ...objects)
    expect(status).toBe(2)
    expect(stderr).toMatch(/is a part of the rules, and an audit needs all: give the whole output of `iptables-save`/)
  })

  test.each<readonly [string, string | Buffer, RegExp]>([
    [
      'nft',
      'table ip nat {\n\tchain PREROUTING {\n\t\ttype nat hook prerouting priority dstnat;\n\t}\n}\n',
      /is the output of nft list ruleset: run `iptables-save` on the node/,
    ],
    [
      'nft-json',
      '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}',
      /is the output of nft list ruleset: run `iptables-save`/,
    ],
    [
      'page',
      '<!DOCTYPE html>\n<html><title>Login</title></html>\n',
      /is an HTML page, such as a proxy or a login page: run `iptables-save`/,
    ],
    [
      'denied',
      'iptables-save v1.8.7 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n',
      /is an error message \(iptables-save v1\.8\.7 .*: Permission denied.*\): run `iptables-save`/,
    ],
    [
      'describe',
      'Name:  web\nNamespace:  app\nLabels:  <none>\n',
      /is the output of kubectl describe: run `iptables-save`/,
    ],
    [
      'ipvs',
      'IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n',
      /is the output of ipvsadm/,
    ],
    ['base64', gzipSync('*nat\nCOMMIT\n').toString('base64'), /is base64 text of gzip data/],
    ['zip', Buffer.from('PK\u0003\u0004aaaaaaaaaaaaaaaaa'), /a zip archive: run `unzip`/],
    [
      'no-interfaces',
      'Chain INPUT (policy ACCEPT)\ntarget     prot opt source               destination\n',
      /line 2: this is iptables -L without -v, .*: run `iptables-save`/,
    ],
  ])('are refused in one line where they are none: %s', async (name, content, message) => {
    const { status, stdout, stderr } = await trace(file(name, content))
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: [^\n]*\n$/)
    expect(stderr).toMatch(message)
  })

  test('are read from Windows PowerShell, which writes UTF-16', async () => {
    const save =
      '*nat\r\n:PREROUTING ACCEPT [0:0]\r\n-A PREROUTING -d 10.43.0.1/32 -m comment --comment "é" -j DNAT --to-destination 192.0.2.10:6443\r\nCOMMIT\r\n'
    const { stdout } = await trace(file('utf16', Buffer.from(`\uFEFF${save}`, 'utf16le')))
    expect(stdout).toContain('sent to 192.0.2.10:6443')
    expect((await trace(file('latin1', Buffer.from(save, 'latin1')))).stdout).toContain('sent to 192.0.2.10:6443')
  })
})

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
