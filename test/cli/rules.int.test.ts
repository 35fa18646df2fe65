import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { ruleItem } from '../../packages/cli/src/commands/rules/schema.js'
import { goldenFiles } from '../support/goldens.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const ASKED = ['--log', log, '--cluster-cidr', '10.244.0.0/16']
const rules = (...args: readonly string[]): Promise<Ended> => runPointsman(['rules', ...args])
const shop = (...args: readonly string[]): Promise<Ended> => rules(...args, ...ASKED)
const linesOf = (text: string): readonly string[] => text.split('\n')
const heads = (text: string): readonly string[] => linesOf(text).filter((line) => /^(nat|filter|mangle) /.test(line))

describe('rules', () => {
  test('without a name are those that render prints', async () => {
    const all = await shop('--at', '108')
    const rendered = await runPointsman(['render', ...ASKED, '--at', '108'])
    expect({ status: all.status, stdout: all.stdout }).toEqual({ status: 0, stdout: rendered.stdout })
    expect(all.stderr).toBe('at seq 108, 2026-11-21T02:24:44.181Z, node node-a: IPv4 rules\n')
  })

  test('of a service begin with where each of its addresses leads', async () => {
    const { stdout } = await shop('shop/frontend')
    expect(linesOf(stdout).slice(0, 6)).toEqual([
      'at seq 128, 2026-11-21T02:24:50.504Z, node node-a: IPv4 rules',
      'shop/frontend:http TCP',
      '  cluster IP     10.96.50.1:80     -> 10.244.1.10:8080, 10.244.3.12:8080, 10.244.4.13:8080 (33.3% each)',
      '  load balancer  198.51.100.80:80  -> 10.244.1.10:8080, from 203.0.113.0/24 alone',
      '  node port      30080             -> 10.244.1.10:8080; from this node and from pods 10.244.1.10:8080, 10.244.3.12:8080, 10.244.4.13:8080 (33.3% each)',
      '',
    ])
    expect(heads(stdout).map((line) => line.replace(/-[A-Z0-9]{16}/, '-'))).toEqual([
      'nat KUBE-SERVICES  shared by all services',
      'nat KUBE-NODEPORTS  shared by all services',
      'nat KUBE-FW-  lets the source ranges of the load balancer on',
      'nat KUBE-EXT-  takes what comes by an external address or a node port',
      'nat KUBE-SVC-  spreads over its endpoints',
      'nat KUBE-SVL-  spreads over its endpoints on this node',
      'nat KUBE-SEP-  10.244.1.10:8080, frontend-v1-0 on node-a',
      'nat KUBE-SEP-  10.244.3.12:8080, frontend-v1-2 on node-c',
      'nat KUBE-SEP-  10.244.4.13:8080, frontend-v1-3 on node-d',
      'filter KUBE-NODEPORTS  shared by all services',
      'filter KUBE-PROXY-FIREWALL  shared by all services',
    ])
  })

  test('of a service are all of its rules, and no others', async () => {
    const { stdout } = await shop('checkout', '--at', '106')
    const whole = await shop('--at', '106')
    const chains = [...stdout.matchAll(/KUBE-(?:SVC|SEP)-\w+/g)].map(([chain]) => chain)
    const its = linesOf(whole.stdout).filter(
      (line) =>
        line.startsWith('-A ') && (line.includes('shop/checkout:') || chains.some((chain) => line.includes(chain))),
    )
    const shown = linesOf(stdout).filter((line) => line.startsWith('  -A '))
    expect(shown.map((line) => line.trim()).toSorted()).toEqual([...its].toSorted())
    expect(its.length).toBeGreaterThan(6)
  })

  test('of a service without endpoints say that it is refused', async () => {
    const { stdout } = await shop('checkout', '--at', '108')
    expect(linesOf(stdout).slice(1)).toEqual([
      'shop/checkout:http TCP',
      '  cluster IP  10.96.50.2:80  -> rejected: no endpoints',
      '',
      'filter KUBE-SERVICES  shared by all services',
      '  -A KUBE-SERVICES -d 10.96.50.2/32 -p tcp -m comment --comment "shop/checkout:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
      '',
    ])
  })

  test('of a chain that was pasted say whose it is, and what leads to it', async () => {
    const chain = await chainOf('10.244.1.24:8080')
    const { stdout } = await shop(chain, '--at', '106')
    expect(linesOf(stdout).slice(1)).toEqual([
      'shop/catalog:http TCP',
      `nat ${chain}  10.244.1.24:8080, catalog-v1-1 on node-a`,
      `  -A ${chain} -s 10.244.1.24/32 -m comment --comment "shop/catalog:http" -j KUBE-MARK-MASQ`,
      `  -A ${chain} -p tcp -m comment --comment "shop/catalog:http" -m tcp -j DNAT --to-destination 10.244.1.24:8080`,
      '',
      'led to by',
      expect.stringMatching(
        new RegExp(
          `^ {2}-A KUBE-SVC-\\w+ -m comment --comment "shop/catalog:http -> 10\\.244\\.1\\.24:8080" .* -j ${chain}$`,
        ),
      ),
      '',
    ])
  })

  test('of a shared chain are shown for each table that has one', async () => {
    const { stdout } = await shop('KUBE-SERVICES', '--at', '108')
    expect(heads(stdout)).toEqual(['filter KUBE-SERVICES', 'nat KUBE-SERVICES'])
    expect(linesOf(stdout).filter((line) => line.startsWith('  -A KUBE-SERVICES ')).length).toBeGreaterThan(10)
    const empty = await shop('KUBE-PROXY-CANARY')
    expect(heads(empty.stdout)).toContain('mangle KUBE-PROXY-CANARY  no rules')
  })

  test('of objects need no log', async () => {
    const { args } = goldenFiles('cluster-ip', folder)
    const { status, stdout } = await rules('KUBE-MARK-MASQ', ...args)
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^from objects, node \S+: IPv4 rules\nnat KUBE-MARK-MASQ\n/) as string,
    })
  })
})

/** The chain of an endpoint before the incident. */
async function chainOf(endpoint: string): Promise<string> {
  const { stdout } = await shop('--at', '106')
  return new RegExp(`-A (KUBE-SEP-\\w+) .*${endpoint.replaceAll('.', '\\.')}$`, 'm').exec(stdout)?.[1] ?? ''
}

describe('what is not there ends with status 1, and one line that helps', () => {
  test.each([
    ['chekout', 'there are no rules of a service chekout at seq 128: did you mean checkout?'],
    [
      'shop/nothing',
      'there are no rules of a service shop/nothing at seq 128: `pointsman services` lists the services that there are',
    ],
    ['KUBE-SERVICE', 'there is no chain KUBE-SERVICE at seq 128: did you mean KUBE-SERVICES?'],
    [
      'KUBE-SEP-AAAAAAAAAAAAAAAA',
      'no service port and no endpoint has the chain KUBE-SEP-AAAAAAAAAAAAAAAA at seq 128: `pointsman blame KUBE-SEP-AAAAAAAAAAAAAAAA` looks for it in all of the log',
    ],
  ])('%s', async (name, message) => {
    expect(await shop(name)).toMatchObject({ status: 1, stdout: '', stderr: `error: ${message}\n` })
  })

  test('the chain of an endpoint that is not used says whose it is', async () => {
    const { stdout } = await shop('--at', '68')
    const [, chain = ''] = /-A (KUBE-SEP-\w+) .*10\.244\.1\.24:8080$/m.exec(stdout) ?? []
    const { status, stderr } = await shop(chain, '--at', '69')
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `error: ${chain} is the chain of shop/catalog:http -> 10.244.1.24:8080, catalog-v1-1 on node-a, and there are no such rules at seq 69: \`pointsman blame ${chain}\` says what took them away\n`,
    })
  })

  test('--family dual is two questions', async () => {
    expect(await shop('--family', 'dual')).toMatchObject({
      status: 2,
      stderr: 'error: --family dual makes two answers: ask for ipv4 and for ipv6 in turn\n',
    })
  })
})

test('-o json and jsonl give each rule with its service port', async () => {
  const { stdout } = await shop('checkout', '--at', '106', '-o', 'json')
  const document = JSON.parse(stdout) as { items: readonly object[] }
  expect(schemaProblems(document, JSON_SCHEMAS.RuleList)).toEqual([])
  expect(document).toMatchObject({ kind: 'RuleList', at: { seq: 106 }, node: 'node-a', family: 'IPv4' })
  for (const item of document.items)
    expect(item).toMatchObject({ service: 'shop/checkout', portName: 'http', protocol: 'TCP' })
  const lines = await shop('KUBE-SERVICES', '--at', '106', '-o', 'jsonl')
  const items = lines.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly chain: string })
  expect(items.flatMap((item) => schemaProblems(item, ruleItem))).toEqual([])
  expect(new Set(items.map(({ chain }) => chain))).toEqual(new Set(['KUBE-SERVICES']))
})

test('-o json of a service says where its addresses lead', async () => {
  const { stdout } = await shop('frontend', '-o', 'json')
  const document = JSON.parse(stdout) as { readonly fronts: readonly object[] }
  expect(schemaProblems(document, JSON_SCHEMAS.RuleList)).toEqual([])
  const local = [{ address: '10.244.1.10', port: 8080, odds: 1 }]
  expect(document.fronts).toMatchObject([
    { type: 'clusterIP', address: '10.96.50.1', port: 80, endpoints: [{ odds: 1 / 3 }, {}, {}] },
    { type: 'loadBalancerIP', endpoints: local, sourceRanges: ['203.0.113.0/24'] },
    { type: 'nodePort', port: 30_080, endpoints: local, endpointsFromNode: [{}, {}, {}] },
  ])
  const broken = JSON.parse((await shop('checkout', '--at', '108', '-o', 'json')).stdout) as object
  expect(broken).toMatchObject({ fronts: [{ endpoints: [], refused: 'rejected' }] })
})
