import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { ruleItem } from '../../packages/cli/src/commands/rules/schema.js'
import { differencesOf, GOLDENS, goldenFiles } from '../support/goldens.js'
import { manyServices } from '../support/many-services.js'
import { POINTSMAN, runPointsman, type Ended } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']
const HEAD = 'at seq 128, 2026-11-21T02:24:50.504Z, node node-a: IPv4 rules for iptables 1.6.2 and later\n'
const render = (...args: readonly string[]): Promise<Ended> => runPointsman(['render', ...args])
const rulesOf = (text: string, about: string): readonly string[] =>
  text.split('\n').filter((line) => line.startsWith('-A ') && line.includes(about))

describe('the rules of a real kube-proxy 1.36 for the same objects and configuration', () => {
  test.each(GOLDENS)('%s', async (scenario) => {
    const { args, saved } = goldenFiles(scenario, folder)
    const out = folder.path(scenario)
    const { status, stdout } = await render(...args, '--family', 'dual', '--output-dir', out)
    expect(status).toBe(0)
    expect(stdout).toMatch(/iptables-save\.txt: [\d,]+ IPv4 rules\n.*ip6tables-save\.txt: [\d,]+ IPv6 rules\n$/)
    for (const file of ['iptables-save.txt', 'ip6tables-save.txt'] as const) {
      expect(await differencesOf(saved[file], readFileSync(`${out}/${file}`, 'utf8'))).toEqual([])
    }
  })

  test.each(['ipv4', 'ipv6'])('are the same on standard output: --family %s', async (family) => {
    const { args } = goldenFiles('dual-stack', folder)
    const { stdout } = await render(...args, '--family', family)
    const out = folder.path(`only-${family}`)
    await render(...args, '--family', family, '--output-dir', out)
    expect(readdirSync(out)).toEqual([family === 'ipv4' ? 'iptables-save.txt' : 'ip6tables-save.txt'])
    expect(readFileSync(`${out}/${readdirSync(out)[0] ?? ''}`, 'utf8')).toBe(stdout)
  })

  test('count in nfacct objects with --nfacct alone, as it does where nfacct(8) works', async () => {
    const { args, saved } = goldenFiles('node-port', folder)
    const sorted = (text: string): readonly string[] => text.split('\n').toSorted()
    const counted = await render(...args, '--nfacct')
    expect(sorted(counted.stdout)).toEqual(sorted(saved['iptables-save.txt']))
    const plain = await render(...args)
    expect(plain.stdout).not.toContain('nfacct')
  })
})

describe('what is asked of a log', () => {
  test('is answered for a point in time, and standard error says for which', async () => {
    const before = await render('--log', log, ...CIDR, '--at', '107')
    expect(before.stderr).toBe(
      'at seq 107, 2026-11-21T02:24:44.177Z, node node-a: IPv4 rules for iptables 1.6.2 and later\n',
    )
    const after = await render('--log', log, ...CIDR, '--at', '108')
    expect(rulesOf(before.stdout, 'shop/checkout:http').filter((line) => line.includes('-j DNAT'))).toHaveLength(2)
    expect(rulesOf(after.stdout, 'shop/checkout:http')).toEqual([
      '-A KUBE-SERVICES -d 10.96.50.2/32 -p tcp -m comment --comment "shop/checkout:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    ])
  })

  test('says what had to be assumed', async () => {
    const { status, stderr } = await render('--log', log)
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `warning: no configuration given: using kube-proxy's defaults with no cluster CIDR (set --config or --cluster-cidr)\n${HEAD}`,
    })
  })

  test('takes the configuration of an agent’s log, and flags win over it', async () => {
    const agent = folder.path('agent.db')
    await runPointsman(['replay', log, ...CIDR, '--node', 'node-b', '--record', agent])
    const logged = await render('--log', agent)
    expect(logged.stderr).toContain('node node-b: IPv4 rules')
    expect(rulesOf(logged.stdout, '! -s 10.244.0.0/16')).not.toHaveLength(0)
    const flagged = await render('--log', agent, '--cluster-cidr', '10.9.0.0/16', '--node', 'node-c')
    expect(rulesOf(flagged.stdout, '! -s 10.9.0.0/16')).not.toHaveLength(0)
    expect(flagged.stderr).toContain('node node-c: IPv4 rules')
  })
})

describe('flags', () => {
  const restricted = ['--nodeport-addresses', '192.168.0.0/16,10.77.0.0/16']
  const dispatch = (text: string): readonly string[] =>
    rulesOf(text, 'must be the last rule').map((line) => line.replace(/ -m comment.*/, ''))

  test('--node-address names the addresses that node ports answer on, in place of the Node’s', async () => {
    const { args } = goldenFiles('node-port', folder)
    const assumed = await render(...args, ...restricted)
    expect(dispatch(assumed.stdout)).toEqual(['-A KUBE-SERVICES -d 192.168.55.10/32'])
    expect(assumed.stderr).toContain(
      'warning: assuming that node ports answer only on 192.168.55.10, fd00:55::10, loopback: give the interface addresses with --node-address\n',
    )
    const given = await render(...args, ...restricted, '--node-address', '10.77.0.1', '--node-address', '192.168.1.1')
    expect(dispatch(given.stdout)).toEqual(['-A KUBE-SERVICES -d 10.77.0.1/32', '-A KUBE-SERVICES -d 192.168.1.1/32'])
    expect(given.stderr).not.toContain('warning')
  })

  test('--layout classic gives the rules of kube-proxy 1.20, of Endpoints where a Service has them', async () => {
    const golden = (file: string): string =>
      fileURLToPath(
        new URL(`../../fixtures/golden/kube-proxy-1.20/external-traffic-policy-local/${file}`, import.meta.url),
      )
    const args = ['--objects', golden('objects.json'), '--config', golden('config.json'), '--layout', 'classic']
    const { stdout, stderr } = await render(...args)
    expect(await differencesOf(readFileSync(golden('iptables-save.txt'), 'utf8'), stdout)).toEqual([])
    expect(stderr).not.toContain('ignored')
    expect(stderr).not.toContain('Endpoints')

    const { items } = JSON.parse(readFileSync(golden('objects.json'), 'utf8')) as {
      readonly items: readonly { readonly kind: string; readonly metadata: { readonly name: string } }[]
    }
    const file = folder.path('endpoints.json')
    const rendered = (of: readonly object[]): Promise<Ended> => {
      writeFileSync(file, JSON.stringify(of))
      return render('--objects', file, ...args.slice(2))
    }
    const alone = await rendered(items.filter(({ kind }) => kind !== 'EndpointSlice'))
    expect(alone.stdout).toBe(stdout)
    expect(alone.stderr).toContain('warning: layout classic: the Endpoints of 2 Services are used: their')

    // An Endpoints takes nothing from another Service, and nothing from the other family of its own.
    const isOther = ({ kind, metadata }: (typeof items)[number]): boolean =>
      kind === 'Endpoints' && metadata.name === 'local'
    const mixed = await rendered(items.filter((item) => !isOther(item)))
    expect(mixed.stderr).not.toContain('Endpoints of')
    expect(mixed.stdout.split('\n').length).toBe(stdout.split('\n').length)
    const inIpv6 = items.map((item) =>
      isOther(item) ? { ...item, subsets: [{ addresses: [{ ip: 'fd00::9' }], ports: [{ port: 1 }] }] } : item,
    )
    expect((await rendered(inIpv6)).stdout).toBe(mixed.stdout)
    expect(JSON.parse((await render(...args, '-o', 'json')).stdout)).toMatchObject({ layout: 'classic' })
  })

  test('--conntrack-tcp-be-liberal keeps packets of state INVALID', async () => {
    const { args } = goldenFiles('cluster-ip', folder)
    expect(rulesOf((await render(...args)).stdout, '--ctstate INVALID')).toHaveLength(1)
    expect(rulesOf((await render(...args, '--conntrack-tcp-be-liberal')).stdout, '--ctstate INVALID')).toHaveLength(0)
  })

  test.each([
    [['--family', 'dual'], /^error: --family dual prints two files: give a directory with --output-dir\n$/],
    [['--output-dir', 'x', '-o', 'json'], /^error: --output-dir writes the rules ready to load: omit -o json\n$/],
    [
      ['--node-address', '10.0.0.1/8'],
      /^error: --node-address "10\.0\.0\.1\/8" is not an IP address: give one without a prefix length\n$/,
    ],
    [['--node', 'node-z', ...CIDR], /^error: --node node-z is not in the input, which has node-a, .*\n$/],
    [
      ['--family', 'both'],
      /^error: option '--family <family>' argument 'both' is invalid\. Allowed choices are ipv4, ipv6, dual; .*\n$/,
    ],
    [['--at', 'soon'], /^error: --at "soon" is not a point in time: .*\n$/],
  ])('%j is refused with one line', async (args, message) => {
    const { status, stdout, stderr } = await render('--log', log, ...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  test('a folder that cannot be made ends with status 3 and one line', async () => {
    writeFileSync(folder.path('file'), '')
    const { status, stdout, stderr } = await render('--log', log, ...CIDR, '--output-dir', folder.path('file/sub'))
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
    expect(stderr).toMatch(/^error: .*file\/sub: it cannot be written \(ENOTDIR\)\n$/)
  })
})

describe('a node of which little is known', () => {
  const objects = (items: readonly object[]): string => {
    const path = folder.path(`objects-${items.length}.json`)
    writeFileSync(path, JSON.stringify({ kind: 'List', apiVersion: 'v1', items }))
    return path
  }
  const { items } = manyServices({ services: 1, endpoints: 2, nodes: ['node-a', 'node-b'] })

  test('without any Node the IPv4 rules are printed, and both are said', async () => {
    const { status, stdout, stderr } = await render('--objects', objects(items), ...CIDR)
    expect(status).toBe(0)
    expect(rulesOf(stdout, '-j DNAT')).toHaveLength(2)
    expect(stderr).toBe(
      "warning: the input has no Node: no endpoint is treated as local, and no address as the node's (add the Node)\n" +
        'warning: the node has no address to derive a family from: printing the IPv4 rules (--family ipv6 for the others)\n' +
        'from objects: IPv4 rules for iptables 1.6.2 and later\n',
    )
  })

  test('with its name alone, which endpoints are local is known', async () => {
    const local = items.map((item) =>
      item.kind === 'Service' ? { ...item, spec: { ...item.spec, internalTrafficPolicy: 'Local' } } : item,
    )
    const { stdout, stderr } = await render(
      '--objects',
      objects([...local, {}].slice(0, 2)),
      ...CIDR,
      '--node',
      'node-b',
    )
    expect(rulesOf(stdout, '-j DNAT')).toHaveLength(1)
    expect(stderr).toContain(
      'warning: the input has no Node node-b: its addresses, zone and pod CIDRs are unknown (add the Node)\n',
    )
  })
})

describe('-o', () => {
  test('json is one document of the shape that is documented, with the service port of each rule', async () => {
    const { stdout } = await render('--log', log, ...CIDR, '-o', 'json')
    const document = JSON.parse(stdout) as { items: readonly { rule: string; service?: string; portName?: string }[] }
    expect(schemaProblems(document, JSON_SCHEMAS.RuleList)).toEqual([])
    expect(document).toMatchObject({ kind: 'RuleList', at: { seq: 128 }, node: 'node-a', family: 'IPv4' })
    const text = await render('--log', log, ...CIDR)
    expect(document.items.map(({ rule }) => rule)).toEqual(rulesOf(text.stdout, ''))
    const ofCheckout = document.items.filter(({ service }) => service === 'shop/checkout')
    expect(ofCheckout.map(({ rule }) => rule)).toEqual(
      expect.arrayContaining([...rulesOf(text.stdout, 'shop/checkout:http')]),
    )
    expect(new Set(ofCheckout.map(({ portName }) => portName))).toEqual(new Set(['http']))
  })

  test('jsonl is an item a line, which grep finds by service', async () => {
    const { stdout } = await render('--log', log, ...CIDR, '-o', 'jsonl')
    const items = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { service?: string })
    expect(items.flatMap((item) => schemaProblems(item, ruleItem))).toEqual([])
    expect(items.filter(({ service }) => service === 'shop/metrics').length).toBeGreaterThan(5)
  })
})

describe('10,000 services', () => {
  const objects = folder.path('many.json')
  beforeAll(() => writeFileSync(objects, JSON.stringify(manyServices({ services: 10_000, endpoints: 5 }))))
  const args = ['render', '--objects', objects, ...CIDR]

  test('are rendered in seconds, at the pace of the reader', async () => {
    const child = spawn(process.execPath, [POINTSMAN, ...args])
    let lines = 0
    for await (const chunk of child.stdout) lines += (chunk as Buffer).toString('latin1').split('\n').length - 1
    if (child.exitCode === null) await once(child, 'close')
    expect(child.exitCode).toBe(0)
    // Two rules of each service and three of each endpoint, of which each has a chain.
    expect(lines).toBeGreaterThan(10_000 * (2 + 5 * 4))
  })

  test('and a reader that has seen enough ends it quietly', async () => {
    const child = spawn(process.execPath, [POINTSMAN, ...args])
    let stderr = ''
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const [status] = (await once(child, 'close')) as [number | null]
    expect({
      status,
      stderr: stderr.split('\n').filter((line) => !line.startsWith('warning: ') && !line.startsWith('from objects')),
    }).toEqual({ status: 0, stderr: [''] })
  })
})
