import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { blameItem } from '../../packages/cli/src/commands/blame/schema.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { manyServices } from '../support/many-services.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']
const blame = (...args: readonly string[]): Promise<Ended> => runPointsman(['blame', ...args, '--log', log, ...CIDR])
const linesOf = ({ stdout }: Ended): readonly string[] => stdout.trimEnd().split('\n')
const squeezed = (line: string): string => line.trim().replaceAll(/ {2,}/g, '  ')

const EMPTIED = [
  'seq 108  2026-11-21T02:24:44.181Z  MODIFIED EndpointSlice shop/checkout-wbn79, resourceVersion 326, by kube-controller-manager-1.36',
  '    endpoints: 2 -> 0; -10.244.1.14 (checkout-v1-0 on node-a); -10.244.3.16 (checkout-v1-2 on node-c)',
  '    caused by: seq 107  2026-11-21T02:24:44.177Z  Service shop/checkout, by kubectl-edit: selector app=checkout -> app=checkout,tier=backend',
]
const REFUSES =
  '-d 10.96.50.2/32 -p tcp -m comment --comment "shop/checkout:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable'

describe('the incident', () => {
  test('is blamed on the emptied slice, with the edit behind it and its author, long after', async () => {
    const { status, ...answer } = await blame('shop/checkout', '--at', '126')
    expect(status).toBe(0)
    const lines = linesOf({ status, ...answer })
    expect(lines.slice(1, 5)).toEqual([...EMPTIED, ''])
    const [head, , , , , titles, port, chain, rule, ...rest] = lines
    expect([head, titles, port, chain].map((line) => squeezed(line ?? ''))).toEqual([
      'at seq 126, 2026-11-21T02:24:49.301Z, node node-a: IPv4 rules of shop/checkout, last changed by',
      'SEQ  TIME  BY  WHAT  RULE',
      'shop/checkout:http TCP',
      'filter KUBE-SERVICES  shared by all services',
    ])
    expect(squeezed(rule ?? '')).toBe(
      `108  02:24:44.181  kube-controller-manager-1.36  2 -> 0 endpoints in use  ${REFUSES}`,
    )
    expect(rest).toEqual([])
  })

  test('took the chain of an endpoint away, which was pasted when it was long gone', async () => {
    const chain = await endpointChain('10.244.1.14:8080', '106')
    const answer = await blame(chain, '--at', '120')
    expect(answer.status).toBe(0)
    expect(linesOf(answer).slice(1, 7)).toEqual([
      `${chain} (shop/checkout:http -> 10.244.1.14:8080) is gone: taken away at seq 108, 2026-11-21T02:24:44.181Z: endpoint 10.244.1.14:8080 (checkout-v1-0) left`,
      ...EMPTIED,
      '',
      'Its rules were, each with the record that had last changed it:',
    ])
    expect(linesOf(answer)[7]).toMatch(
      /^seq 14 {2}2026-11-21T02:24:31\.515Z {2}MODIFIED EndpointSlice shop\/checkout-wbn79/,
    )
  })

  test('is mended by the slice that the rollback filled', async () => {
    const answer = await blame('checkout')
    expect(answer.stdout).toContain(
      'caused by: seq 127  2026-11-21T02:24:50.500Z  Service shop/checkout, by kubectl-rollback: selector app=checkout,tier=backend -> app=checkout\n',
    )
    expect(answer.stdout).not.toContain('seq 108')
  })
})

describe('each rule', () => {
  test('whose odds alone changed names the neighbour, and since when it is there', async () => {
    const answer = await blame('search')
    const odds = linesOf(answer).filter((line) => line.includes('odds: '))
    expect(odds.map((line) => squeezed(line).replace(/ {2}-m .*/, ''))).toContain(
      '119  02:24:47.950  kube-controller-manager-1.36  odds: neighbour 10.244.4.48:8080 (search-v1-9) came (there since seq 34)',
    )
  })

  test('of a busy service is told with the last records, and how many there were before', async () => {
    const lines = linesOf(await blame('search', '--at', '128'))
    const first = lines.findIndex((line) => line.startsWith('SEQ'))
    expect(lines.slice(1, first).filter((line) => line.startsWith('seq ')).length).toBe(10)
    const frontend = await blame('--at', '110')
    expect(frontend.stdout).toMatch(/\nand \d+ older records, which -o json tells of as well\n\n *SEQ /)
  })

  test('is not blamed on an edit that changed no rule', async () => {
    const before = await blame('ledger', '--at', '104')
    const after = await blame('ledger', '--at', '106')
    expect(linesOf(after).slice(1)).toEqual(linesOf(before).slice(1))
    expect(after.stdout).not.toMatch(/seq 10[56]\b.*\n.*team/)
  })

  test('can be pasted, with -A or without, with its comment or without', async () => {
    const bare = '-d 10.96.50.2/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable'
    const wanted = linesOf(await blame('checkout', '--at', '110')).slice(2)
    for (const rule of [`-A KUBE-SERVICES ${REFUSES}`, `KUBE-SERVICES ${REFUSES}`, `-A KUBE-SERVICES ${bare}`]) {
      expect(linesOf(await blame(rule, '--at', '110')).slice(2)).toEqual(wanted)
    }
    const gone = await blame(`-A KUBE-SERVICES ${REFUSES}`)
    expect(linesOf(gone)[1]).toMatch(/^a rule of shop\/checkout is gone: taken away at seq 128, /)
  })

  test('of no service was there where the log begins, or came with its configuration', async () => {
    const plain = await blame('KUBE-MARK-MASQ')
    expect(linesOf(plain).map(squeezed)).toContain(
      '-  -  there where the log begins  -j MARK --set-xmark 0x4000/0x4000',
    )
    const agent = folder.path('agent.db')
    await runPointsman(['replay', log, ...CIDR, '--record', agent])
    const configured = await runPointsman(['blame', 'KUBE-MARK-MASQ', '--log', agent])
    expect(configured.stdout).toMatch(/\nseq \d+ {2}\S+ {2}the effective configuration\n/)
  })
})

test('a deleted Service is told with who knows what', async () => {
  const answer = await blame('metrics', '--at', '123')
  expect(linesOf(answer).slice(1, 4)).toEqual([
    'shop/metrics is gone: taken away at seq 123, 2026-11-21T02:24:48.774Z: Service deleted',
    'seq 123  2026-11-21T02:24:48.774Z  DELETED Service shop/metrics, resourceVersion 357, by unknown: the API does not say who deletes',
    '    was NodePort 10.96.50.10, http 9090/TCP, statsd 8125/UDP, selector app=metrics',
  ])
})

test.each([
  [['chekout'], 1, 'the log has no service chekout: did you mean checkout?'],
  [
    ['KUBE-SEP-AAAAAAAAAAAAAAAA'],
    1,
    'no service port and no endpoint up to seq 128 has the chain KUBE-SEP-AAAAAAAAAAAAAAAA: is it whole, and of this cluster?',
  ],
  [['KUBE-NONE'], 1, 'KUBE-NONE: no such rules found up to seq 128, past or present'],
  [['--famly', 'ipv4'], 2, "unknown option '--famly' (Did you mean --family?); --help has examples"],
])('%j ends with one line', async (args, status, message) => {
  expect(await blame(...args)).toMatchObject({ status, stdout: '', stderr: `error: ${message}\n` })
})

test('what is no rule is said to be none', async () => {
  const { status, stderr } = await blame('KUBE-SERVICES --what')
  expect(status).toBe(2)
  expect(stderr).toMatch(
    /^error: "KUBE-SERVICES --what" is no rule \(.*\): paste a line of iptables-save, such as .*\n$/,
  )
})

test('-o json and jsonl give each rule with its records', async () => {
  const { stdout } = await blame('search', '-o', 'json')
  const document = JSON.parse(stdout) as { items: readonly object[] }
  expect(schemaProblems(document, JSON_SCHEMAS.BlameList)).toEqual([])
  expect(document).toMatchObject({ kind: 'BlameList', at: { seq: 128 }, node: 'node-a', family: 'IPv4' })
  expect(document.items).toContainEqual(
    expect.objectContaining({
      service: 'shop/search',
      changed: expect.objectContaining({ seq: 119, oddsAlone: true, resourceVersion: '349' }) as object,
      made: expect.objectContaining({ seq: 34 }) as object,
    }),
  )
  const gone = await blame('checkout', '--at', '108', '-o', 'jsonl')
  const items = gone.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object)
  expect(items.flatMap((item) => schemaProblems(item, blameItem))).toEqual([])
  expect(items).toEqual([
    expect.objectContaining({
      changed: expect.objectContaining({
        seq: 108,
        editBehind: expect.objectContaining({
          seq: 107,
          author: expect.objectContaining({ manager: 'kubectl-edit' }) as object,
        }) as object,
      }) as object,
    }),
  ])
})

describe('in a cluster so large that rules have no comments', () => {
  const large = folder.path('large.db')
  beforeAll(async () => {
    const { items } = manyServices({ services: 210, endpoints: 5 })
    const lines = items.map((object) => JSON.stringify({ observedAt: '2026-01-20T09:00:00Z', type: 'ADDED', object }))
    const recording = folder.path('large.jsonl')
    writeFileSync(recording, lines.join('\n'))
    await runPointsman(['import', recording, '--log', large])
  })
  const ask = (...args: readonly string[]): Promise<Ended> =>
    runPointsman([...args, '--log', large, ...CIDR, '--family', 'ipv4'])

  test('a chain and a rule are known by their hashes, and shown with their comments', async () => {
    const { stdout } = await ask('rules', 'web-200')
    const [, rule = ''] = /^ {2}(-A KUBE-SVC-\w+ -m statistic .*)$/m.exec(stdout) ?? []
    const [, chain = ''] = /^nat (KUBE-SEP-\w+)/m.exec(stdout) ?? []
    expect(rule).not.toContain('comment')
    const ofRule = await ask('blame', rule)
    expect(ofRule.stdout).toMatch(/ endpoint 10\.\S+:8080 came +-m comment --comment "shop\/web-200 -> 10\./)
    const ofChain = await ask('blame', chain)
    expect(linesOf(ofChain)[0]).toMatch(
      /IPv4 rules of KUBE-SEP-\w+ \(shop\/web-200 -> 10\.\S+:8080\), last changed by$/,
    )
  })
})

test('a chain of the other family says which family it is of, there or gone', async () => {
  const both = folder.path('dual.db')
  const { items } = JSON.parse(
    readFileSync(new URL('../../fixtures/golden/kube-proxy-1.36/dual-stack/objects.json', import.meta.url), 'utf8'),
  ) as { readonly items: readonly { readonly kind: string }[] }
  const added = items.map((object) => ({ observedAt: '2026-01-20T09:00:00Z', type: 'ADDED', object }))
  const gone = items
    .filter(({ kind }) => kind === 'EndpointSlice')
    .map((object) => ({ observedAt: '2026-01-20T09:00:01Z', type: 'DELETED', object }))
  const recording = folder.path('dual.jsonl')
  writeFileSync(recording, [...added, ...gone].map((event) => JSON.stringify(event)).join('\n'))
  await runPointsman(['import', recording, '--log', both])
  const ask = (...args: readonly string[]): Promise<Ended> => runPointsman([...args, '--log', both, ...CIDR])
  const there = await ask('rules', '--family', 'ipv6', '--at', String(added.length))
  const [, chain = ''] = /^-A (KUBE-SEP-\w+) .*-j DNAT/m.exec(there.stdout) ?? []
  const error = `error: ${chain} is a chain of the IPv6 rules: ask with --family ipv6\n`
  for (const command of ['rules', 'blame']) {
    const asked = await ask(command, chain, '--at', String(added.length), '--family', 'ipv4')
    expect(asked).toMatchObject({ status: 1, stdout: '', stderr: error })
  }
  expect(await ask('blame', chain, '--family', 'ipv4')).toMatchObject({ status: 1, stdout: '', stderr: error })
  expect((await ask('blame', chain, '--family', 'ipv6')).stdout).toContain('is gone: taken away at seq')
})

/** The chain of an endpoint at a point in time. */
async function endpointChain(endpoint: string, at: string): Promise<string> {
  const { stdout } = await runPointsman(['rules', '--log', log, ...CIDR, '--at', at])
  return new RegExp(`-A (KUBE-SEP-\\w+) .*${endpoint.replaceAll('.', '\\.')}$`, 'm').exec(stdout)?.[1] ?? ''
}
