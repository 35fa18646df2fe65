import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { runPointsman, type Ended } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
afterAll(folder.remove)

const CIDR = ['--cluster-cidr', '10.244.0.0/16']
const trace = (packet: string, ...args: readonly string[]): Promise<Ended> =>
  runPointsman(['trace', packet, '--log', log, ...CIDR, ...args])

/** The conclusion: all above the way. */
const conclusion = ({ stdout }: Ended): readonly string[] => (stdout.split('\n\n')[0] ?? '').split('\n').slice(1)

const SAVE = (name: string): string =>
  fileURLToPath(new URL(`../../fixtures/golden/kube-proxy-1.36/${name}/iptables-save.txt`, import.meta.url))

describe('the shop incident', () => {
  test('before: which endpoints, with what odds, and what they see', async () => {
    const ended = await trace('tcp 10.244.1.9 -> 10.96.50.2:80', '--at', '106')
    expect(ended.status).toBe(0)
    expect(conclusion(ended)).toEqual([
      'tcp 10.244.1.9 -> 10.96.50.2:80 (shop/checkout:http)',
      '  reaches one of 2 endpoints',
      '  ODDS  ENDPOINT          POD                 NODE    SEES AS SENDER',
      '   1/2  10.244.1.14:8080  shop/checkout-v1-0  node-a  10.244.1.9',
      '   1/2  10.244.3.16:8080  shop/checkout-v1-2  node-c  10.244.1.9',
      '  assumed: 10.244.1.9 is taken to be a new client: on no list of `-m recent` (--affinity says otherwise)',
    ])
  })

  test('at its worst: rejected, by which rule, and the way there', async () => {
    const ended = await trace('tcp 10.244.1.9 -> shop/checkout:http', '--at', '108')
    expect(ended.status).toBe(1)
    expect(ended.stderr).toBe('')
    expect(ended.stdout).toBe(
      `at seq 108, 2026-11-21T02:24:44.181Z, node node-a, IPv4
tcp 10.244.1.9 -> 10.96.50.2:80 (shop/checkout:http)
  is rejected with icmp-port-unreachable by rule 2 of filter KUBE-SERVICES, "shop/checkout:http has no endpoints"

RULE                 MATCH                               ACTION                                  COMMENT
PREROUTING nat
  PREROUTING 1       any packet                          -> KUBE-SERVICES                        kubernetes service portals
  the policy                                             accepted
forwarded
FORWARD filter
  FORWARD 1          -m conntrack --ctstate NEW          -> KUBE-PROXY-FIREWALL, which is empty  kubernetes load balancer firewall
  FORWARD 2          any packet                          -> KUBE-FORWARD                         kubernetes forwarding rules
  FORWARD 3          -m conntrack --ctstate NEW          -> KUBE-SERVICES                        kubernetes service portals
    KUBE-SERVICES 2  -d 10.96.50.2/32 -p tcp --dport 80  rejected with icmp-port-unreachable     shop/checkout:http has no endpoints
`,
    )
  })

  test('an endpoint that asks for itself is masqueraded, and others are not', async () => {
    const ended = await trace('tcp shop/checkout-v1-0 -> shop/checkout')
    expect(conclusion(ended).slice(3, 5)).toEqual([
      "   1/2  10.244.1.14:8080  shop/checkout-v1-0  node-a  an address of the node's (masqueraded)",
      '   1/2  10.244.3.16:8080  shop/checkout-v1-2  node-c  10.244.1.14',
    ])
  })

  test('a pod of another node is asked about there', async () => {
    const here = await trace('tcp shop/checkout-v1-2 -> shop/cart')
    expect(here.stderr).toBe(
      'warning: 10.244.3.16 (shop/checkout-v1-2) is on node-c, whose rules its packets meet first: this is about those that come to node-a as they were sent; --node node-c asks there\n',
    )
    const there = await trace('tcp shop/checkout-v1-2 -> shop/cart', '--node', 'node-c')
    expect(there.stdout).toContain('node node-c')
    expect(there.stderr).not.toContain('meet first')
  })

  test('branches are told with their odds, the way before and after them once', async () => {
    const { stdout } = await trace('tcp node -> shop/catalog:http')
    const lines = stdout.split('\n').map((line) => line.replaceAll(/ {2,}/g, '  ').trim())
    expect(lines.filter((line) => line.startsWith('1/3  KUBE-SVC'))).toHaveLength(3)
    expect(lines.filter((line) => line.startsWith('KUBE-MARK-MASQ 1'))).toEqual([
      'KUBE-MARK-MASQ 1  any packet  mark 0x0 becomes 0x4000',
    ])
    expect(lines.filter((line) => line.startsWith('KUBE-POSTROUTING 3'))).toEqual([
      "KUBE-POSTROUTING 3  any packet  source becomes the node's  kubernetes service traffic requiring SNAT",
    ])
  })

  test('what is the same for all endpoints is told once', async () => {
    const { stdout } = await trace('tcp 10.244.1.9 -> shop/frontend:http')
    expect(stdout.match(/sent to /g)).toHaveLength(3)
    for (const once of [
      'forwarded',
      'FORWARD 1 ',
      'KUBE-SERVICES 8 ',
      'KUBE-POSTROUTING 1 ',
      'no: the source is 10.244.1.9\n',
    ])
      expect(stdout.split(once).length - 1).toBe(once.startsWith('no:') ? 4 : 1)
  })

  test('node ports have names, on the addresses of the node and on loopback', async () => {
    for (const [packet, title] of [
      ['tcp outside -> node-a:30080', 'tcp 198.18.0.1 (outside) -> 192.168.55.10:30080 (shop/frontend:http)'],
      ['tcp node -> 127.0.0.1:30080', 'tcp 127.0.0.1 (the node itself) -> 127.0.0.1:30080 (shop/frontend:http)'],
    ] as const) {
      expect(conclusion(await trace(packet))[0]).toBe(title)
    }
  })

  test('a load balancer’s source ranges: who is let in, who is dropped', async () => {
    const dropped = await trace('tcp 192.0.2.1 -> 198.51.100.80:80')
    expect(dropped.status).toBe(1)
    expect(conclusion(dropped)[1]).toMatch(
      /^ {2}is dropped without an answer by rule 1 of filter KUBE-PROXY-FIREWALL, "shop\/frontend:http/,
    )
  })

  test('an address with rules for other ports', async () => {
    const ended = await trace('tcp 10.244.1.9 -> 10.96.0.10:80')
    expect(ended.status).toBe(1)
    expect(conclusion(ended)[1]).toBe(
      '  is not for a Service: it goes on to 10.96.0.10:80 unchanged; rules for this address are of tcp 53, udp 53',
    )
    expect(ended.stdout).toMatch(/KUBE-SERVICES 2 .*-d 10\.96\.0\.10\/32 -p udp --dport 53 +no: the protocol is tcp/)
  })
})

describe('addresses that are more than one thing', () => {
  test('a node port at the address of a load balancer depends on whether the node has it', async () => {
    const ended = await trace('tcp outside -> 198.51.100.80:30080')
    expect(ended.status).toBe(4)
    expect(conclusion(ended).slice(1, 4)).toEqual([
      '  depends on one thing that neither the rules nor the input say:',
      '    if 198.51.100.80 is an address of the node: reaches 10.244.1.10:8080',
      '    else: goes on to 198.51.100.80:30080 unchanged',
    ])
    expect(ended.stdout).toContain('unless 198.51.100.80 is an address of the node:\n')
    const known = await trace('tcp outside -> 198.51.100.80:30080', '--node-address', '198.51.100.80')
    expect(conclusion(known)[1]).toBe('  reaches 1 endpoint')
    const other = await trace('tcp outside -> 198.51.100.80:30081')
    expect(conclusion(other)[1]).toContain('is not for a Service')
  })

  test('localhost is 127.0.0.1 and ::1', async () => {
    const both = await trace('tcp node -> localhost:30080')
    expect(both.status).toBe(0)
    expect(both.stdout.match(/^tcp .*\n.*$/gm)).toEqual([
      'tcp 127.0.0.1 (the node itself) -> 127.0.0.1:30080 (shop/frontend:http)\n  reaches one of 3 endpoints',
      'tcp ::1 (the node itself) -> [::1]:30080 (shop/frontend:http)\n  is not for a Service: it goes on to [::1]:30080 unchanged',
    ])
    const { stdout } = await trace('tcp node -> localhost:30080', '-o', 'json')
    const document = JSON.parse(stdout) as object
    expect(schemaProblems(document, JSON_SCHEMAS.Trace)).toEqual([])
    expect(document).toMatchObject({
      fate: 'endpoints',
      packet: { destination: '127.0.0.1' },
      otherFamily: { fate: 'no-service', packet: { destination: '::1', family: 'IPv6' } },
    })
    const one = await trace('tcp node -> localhost:30080', '--family', 'ipv6')
    expect(one).toMatchObject({ status: 1, stdout: expect.not.stringContaining('127.0.0.1') })
  })
})

describe('what is known of the connection', () => {
  const packet = 'tcp 10.244.1.9 -> shop/checkout'

  test.each(['10.244.3.16:8080', 'KUBE-SEP-DKBAKGTQDGBY7LED'])(
    'a client that %s remembers goes there again',
    async (remembered) => {
      const ended = await trace(packet, '--affinity', remembered)
      expect(conclusion(ended).slice(1)).toEqual([
        '  reaches 1 endpoint',
        '    ODDS  ENDPOINT          POD                 NODE    SEES AS SENDER',
        '  always  10.244.3.16:8080  shop/checkout-v1-2  node-c  10.244.1.9',
      ])
    },
  )

  test('a client that is known to be new assumes nothing', async () => {
    const ended = await trace(packet, '--affinity', 'none')
    expect(conclusion(ended)).toHaveLength(5)
    expect(ended.stdout).not.toContain('assumed')
  })

  test('an established connection goes where it went, though the Service has lost its endpoints', async () => {
    const established = ['--state', 'established', '--connection', '10.244.1.14:8080']
    const ended = await trace(packet, '--at', '108', ...established)
    expect(ended.status).toBe(0)
    expect(conclusion(ended)[3]).toMatch(/^ {2}always {2}10\.244\.1\.14:8080/)
    expect(ended.stdout).toContain('is not consulted: the packet is ESTABLISHED')
  })

  test('a packet that conntrack cannot place is dropped', async () => {
    const ended = await trace(packet, '--state', 'invalid')
    expect(conclusion(ended)[1]).toBe('  is dropped without an answer by rule 1 of filter KUBE-FORWARD')
  })
})

describe('anybody’s rules', () => {
  const traceRules = (packet: string, ...args: readonly string[]): Promise<Ended> =>
    runPointsman(['trace', packet, ...args])

  test('what a real kube-proxy wrote, without any objects', async () => {
    const ended = await traceRules(
      'tcp 10.244.1.200 -> 10.96.125.27:8080',
      '--rules',
      SAVE('node-port'),
      '--node-address',
      '192.168.55.10',
    )
    expect({ ...ended, stdout: conclusion(ended) }).toMatchObject({
      status: 0,
      stderr: '',
      stdout: [
        'tcp 10.244.1.200 -> 10.96.125.27:8080',
        '  reaches 1 endpoint',
        '    ODDS  ENDPOINT          SEES AS SENDER',
        '  always  10.254.20.8:8080  10.244.1.200',
      ],
    })
  })

  test('on standard input, with names from a log', async () => {
    const input =
      '*filter\n:FORWARD DROP [0:0]\n-A FORWARD -m set --match-set shop dst -j ACCEPT\nCOMMIT\n*nat\nCOMMIT\n'
    const ended = await runPointsman(['trace', 'tcp outside -> shop/cart:http', '--rules', '-', '--log', log], {
      input,
    })
    expect(ended.status).toBe(4)
    expect(conclusion(ended)).toEqual([
      'tcp 198.18.0.1 (outside) -> 10.96.50.4:80 (shop/cart:http)',
      '  depends on one thing that neither the rules nor the input say:',
      '    if the set shop has 10.96.50.4 (dst): goes on to 10.96.50.4:80 unchanged',
      '    else: is dropped without an answer by the policy of filter FORWARD',
      '  say what is known with --ipset',
    ])
    expect(ended.stdout).toMatch(/FORWARD 1 +-m set --match-set shop dst +accepted\n/)
    expect(ended.stdout).toMatch(/the policy +dropped\n/)
  })

  test('of a thousand endpoints, a few branches are told and the rest counted', async () => {
    const packet = 'tcp 10.244.1.200 -> 10.96.25.25:80'
    const args = ['--rules', SAVE('large-cluster'), '--node-address', '192.168.55.10']
    const { stdout } = await traceRules(packet, ...args)
    expect(stdout).toContain('  reaches one of 1002 endpoints\n')
    expect(stdout).toContain('and 998 branches more: -o wide tells them\n')
    const wide = await traceRules(packet, ...args, '-o', 'wide')
    expect(wide.stdout.match(/sent to /g)).toHaveLength(1002)
  })

  const bad = (text: string): string => {
    const path = folder.path('bad.txt')
    writeFileSync(path, text)
    return path
  }

  test.each([
    ['no save', 'hello\n', /bad\.txt: line 1: .*not a line of a restore/],
    ['cut off', readFileSync(SAVE('node-port'), 'utf8').slice(0, 2000), /bad\.txt: line \d+: /],
    ['empty', '', /bad\.txt is an empty file: run `iptables-save` on the node/],
    ['two saves', '*nat\nCOMMIT\n*nat\nCOMMIT\n', /has the table nat twice: give what one iptables-save prints/],
    [
      'of the other family',
      '*nat\n:A - [0:0]\n-A A -d fd00::1/128 -j A\nCOMMIT\n',
      /the rules are IPv6, and 10\.0\.0\.2 is IPv4: give what iptables-save prints/,
    ],
  ])('%s is refused in one line', async (_, text, message) => {
    const ended = await traceRules('tcp 10.0.0.1 -> 10.0.0.2:80', '--rules', bad(text), '--node-address', '10.0.0.9')
    expect(ended).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(message) })
    expect(ended.stderr.split('\n')).toHaveLength(2)
  })
})

test.each([
  ['tcp 10.244.1.9', 2, /is no packet: give 'PROTOCOL SOURCE -> DESTINATION:PORT'/],
  ['tcp 10.244.1.9 -', 2, /in a shell it has to be in quotes/],
  ['icmp 10.244.1.9 -> 10.96.0.10:53', 2, /icmp is no protocol of Services/],
  ['tcp 10.244.1.9 -> 10.96.0.10', 2, /which port of 10\.96\.0\.10\?/],
  ['tcp 10.244.1.9 -> 10.96.0.10:http', 2, /"http" is no port/],
  ['tcp 10.244.1.9 -> [fd00::1]:80', 2, /different IP families/],
  [
    'tcp 10.244.1.9 -> shop/chekout',
    1,
    /there is no Service, pod or Node shop\/chekout: did you mean shop\/checkout\?/,
  ],
  ['tcp 10.244.1.9 -> shop/checkout:8080', 1, /has no TCP port 8080: it has shop\/checkout:http \(80\/TCP\)/],
  ['udp 10.244.1.9 -> shop/checkout:http', 1, /has no UDP port http/],
  ['tcp 10.244.1.9 -> kube-system/kube-dns', 0, /^$/],
  ['tcp shop/checkout -> shop/cart', 2, /Services send no packets: give one of its pods, as shop\/checkout-v1-0/],
])('%s ends with %d', async (packet, status, message) => {
  const ended = await trace(packet)
  expect(ended).toMatchObject({ status, stderr: expect.stringMatching(message) })
})

test('several listings of a node are followed together, and of saves the one of the packet’s family', async () => {
  const nft = folder.path('nft.txt')
  writeFileSync(
    nft,
    'table inet guard {\nchain after {\ntype filter hook forward priority 10; policy accept;\nip daddr 10.254.0.0/16 drop\n}\n}\n',
  )
  const save = SAVE('node-port')
  const args = ['--rules', save, '--rules', save.replace('iptables-save', 'ip6tables-save'), '--rules', nft]
  const packet = 'tcp 10.244.1.200 -> 10.96.125.27:8080'
  const ended = await runPointsman(['trace', packet, ...args, '--node-address', '192.168.55.10'])
  expect(ended.stderr).toBe('')
  expect(conclusion(ended)[1]).toBe('  is dropped without an answer by rule 1 of inet guard after')
})

test('options that have no say in given rules are refused', async () => {
  const args = ['trace', 'tcp 10.0.0.1 -> 10.0.0.2:80', '--rules', SAVE('node-port')]
  const ended = await runPointsman([...args, '--masquerade-all'])
  expect(ended.status).toBe(2)
  expect(ended.stderr).toBe(
    'error: --masquerade-all decides which rules there are, and --rules gives them: leave one of the two out\n',
  )
})

describe('-o json', () => {
  interface TraceDocument {
    readonly fate: string
    readonly fates: readonly { readonly fate: string; readonly odds: number }[]
    readonly endpoints: readonly { readonly odds: number; readonly pod?: string }[]
    readonly ways: readonly { readonly odds: number; readonly steps: readonly unknown[] }[]
  }

  test.each([
    ['tcp 10.244.1.9 -> shop/checkout:http', []],
    ['tcp 10.244.1.9 -> shop/checkout:http', ['--at', '108']],
    ['tcp 192.0.2.1 -> 198.51.100.80:80', []],
    ['tcp outside:40000 -> node-a:30080', ['--every-rule']],
    ['tcp node -> 127.0.0.1:30080', []],
    ['udp 10.244.1.9 -> kube-system/kube-dns:dns', ['--state', 'established', '--connection', '10.244.1.5:53']],
    ['tcp 10.244.1.9 -> 10.0.0.1:1', []],
  ])('of %s %o has the shape of docs/json.md, and odds that add up', async (packet, args) => {
    const { stdout } = await trace(packet, ...args, '-o', 'json')
    const document = JSON.parse(stdout) as TraceDocument
    expect(schemaProblems(document, JSON_SCHEMAS.Trace)).toEqual([])
    const sum = (items: readonly { readonly odds: number }[]): number => items.reduce((all, { odds }) => all + odds, 0)
    expect(sum(document.fates)).toBeCloseTo(1, 12)
    expect(sum(document.ways)).toBeCloseTo(1, 12)
    if (document.fate === 'endpoints') expect(sum(document.endpoints)).toBeCloseTo(1, 12)
  })
})
