import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']
const diff = (...args: readonly string[]): Promise<Ended> => runPointsman(['diff', ...args, '--log', log, ...CIDR])
const linesOf = ({ stdout }: Ended): readonly string[] => stdout.trimEnd().split('\n')

describe('two points', () => {
  test('are told from cause to effect: objects, endpoints, rules', async () => {
    const answer = await diff('106', '108')
    expect({ status: answer.status, stderr: answer.stderr }).toEqual({ status: 1, stderr: '' })
    expect(linesOf(answer).slice(0, 19)).toEqual([
      'seq 106 (2026-11-21T02:24:43.577Z) -> seq 108 (2026-11-21T02:24:44.181Z), node node-a: 2 objects, the endpoints of 1 service port, 11 rules',
      '',
      'objects',
      '  ~ Service shop/checkout  last at seq 107 by kubectl-edit',
      '      selector app=checkout -> app=checkout,tier=backend',
      '  ~ EndpointSlice shop/checkout-wbn79  last at seq 108 by kube-controller-manager-1.36',
      '      endpoints: 2 -> 0',
      '      -10.244.1.14 (checkout-v1-0 on node-a)',
      '      -10.244.3.16 (checkout-v1-2 on node-c)',
      '',
      'endpoints',
      '  ~ shop/checkout:http TCP  2 -> 0 in use',
      '      - 10.244.1.14:8080, checkout-v1-0 on node-a',
      '      - 10.244.3.16:8080, checkout-v1-2 on node-c',
      '',
      'rules',
      '  shop/checkout:http TCP',
      '    filter KUBE-SERVICES',
      '    + -A KUBE-SERVICES -d 10.96.50.2/32 -p tcp -m comment --comment "shop/checkout:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    ])
  })

  test('differ in the rules that differ in what is printed of each', async () => {
    const whole = async (at: string): Promise<readonly string[]> =>
      linesOf(await runPointsman(['rules', '--log', log, ...CIDR, '--at', at])).filter((line) => line.startsWith('-A '))
    const [before, after] = [await whole('121'), await whole('126')]
    const shown = linesOf(await diff('121', '126'))
    const signed = (sign: string): readonly string[] =>
      shown.filter((line) => line.startsWith(`    ${sign} -A `)).map((line) => line.slice(6))
    expect([...signed('-')].toSorted()).toEqual(before.filter((line) => !after.includes(line)).toSorted())
    expect([...signed('+')].toSorted()).toEqual(after.filter((line) => !before.includes(line)).toSorted())
  })

  test('say of neighbours in one line how their odds changed', async () => {
    const answer = await diff('118', '119')
    expect(linesOf(answer)).toContain('    ~ odds of 7 rules: 14.3% -> 12.5% for each endpoint')
    expect(linesOf(answer).filter((line) => line.includes('--probability'))).toEqual([])
  })

  test('may be given backwards, and then nobody made the change', async () => {
    const answer = await diff('108', '106')
    expect(linesOf(answer)).toContain('      selector app=checkout,tier=backend -> app=checkout')
    expect(linesOf(answer)).toContain('  ~ Service shop/checkout')
    expect(linesOf(answer)).toContain('  ~ shop/checkout:http TCP  0 -> 2 in use')
  })

  test('that are the same end with status 0', async () => {
    const answer = await diff('105', '105')
    expect(answer).toMatchObject({
      status: 0,
      stdout:
        'seq 105 (2026-11-21T02:24:43.572Z) -> seq 105 (2026-11-21T02:24:43.572Z), node node-a: no object, no endpoint and no rule differs\n',
    })
  })

  test('may be times, counted back from the last record, and the last record itself', async () => {
    expect(linesOf(await diff('02:24:45', '-2s'))[0]).toContain('seq 108 (2026-11-21T02:24:44.181Z) -> seq 122 (')
    expect(linesOf(await diff('-2s'))[0]).toMatch(/^seq 122 \(.*\) -> seq 128 \(/)
  })
})

test('an object that was deleted and made again is said to be', async () => {
  const answer = await diff('122', '126')
  const lines = linesOf(answer)
  const at = lines.indexOf('  ~ Service shop/metrics  last at seq 124 by deployer')
  expect(lines[at + 1]).toBe('      deleted and made again')
  expect(lines).toContain(
    '  - EndpointSlice shop/metrics-6r8s5  last at seq 126 by unknown: the API does not say who deletes',
  )
})

test('--stat counts, a line a service port', async () => {
  const answer = await diff('106', '121', '--stat')
  expect(answer.status).toBe(1)
  expect(
    linesOf(answer)
      .slice(1)
      .map((line) => line.trim().replaceAll(/ {2,}/g, '  ')),
  ).toEqual([
    '',
    'Services  ~1',
    'EndpointSlices  ~2',
    '',
    'SERVICE PORT  ENDPOINTS  RULES',
    'shop/checkout:http TCP  -2  +1 -10',
    'shop/search:http TCP  +3  +9 ~7',
  ])
})

test('the configuration of an agent’s log counts, and flags win over it', async () => {
  const agent = folder.path('agent.db')
  await runPointsman(['replay', log, ...CIDR, '--record', agent])
  const plain = await runPointsman(['diff', '-1s', '--log', agent])
  expect(plain.stderr).toBe('')
  expect(plain.stdout).toContain('! -s 10.244.0.0/16')
  const flagged = await runPointsman(['diff', '-1s', '--log', agent, '--cluster-cidr', '10.9.0.0/16'])
  expect(flagged.stdout).toContain('! -s 10.9.0.0/16')
  expect(flagged.stdout).not.toContain('! -s 10.244.0.0/16')
})

test.each([
  [['500'], 2, /^error: diff 500 is outside the log, which has seq 1 to 128, .*\n$/],
  [['soon'], 2, /^error: diff "soon" is not a point in time: .*\n$/],
  [[], 2, /^error: missing required argument 'from'; --help has examples\n$/],
  [['--foo', '5'], 2, /^error: unknown option '--foo'; --help has examples\n$/],
  [['1', '2', '--family', 'dual'], 2, /^error: --family dual makes two answers: .*\n$/],
])('%j is refused with one line', async (args, status, message) => {
  const answer = await diff(...args)
  expect({ status: answer.status, stdout: answer.stdout }).toEqual({ status, stdout: '' })
  expect(answer.stderr).toMatch(message)
})

test('-o json is a document of the shape that the documents give', async () => {
  const answer = await diff('106', '119', '-o', 'json')
  const document = JSON.parse(answer.stdout) as { readonly rules: readonly object[] }
  expect(schemaProblems(document, JSON_SCHEMAS.Diff)).toEqual([])
  expect(document).toMatchObject({
    kind: 'Diff',
    from: { seq: 106 },
    at: { seq: 119 },
    objects: [
      { event: 'MODIFIED', kind: 'Service', name: 'checkout', seq: 107, author: { manager: 'kubectl-edit' } },
      { event: 'MODIFIED', kind: 'EndpointSlice', name: 'checkout-wbn79', seq: 108 },
      { event: 'MODIFIED', kind: 'EndpointSlice', name: 'search-l9rxk', seq: 119 },
    ],
    endpoints: [
      { service: 'shop/checkout', usedBefore: 2, usedAfter: 0 },
      { service: 'shop/search', usedBefore: 7, usedAfter: 8, endpoints: [{ event: 'ADDED', address: '10.244.4.48' }] },
    ],
  })
  expect(document.rules).toContainEqual(expect.objectContaining({ event: 'ODDS', service: 'shop/search' }))
})
