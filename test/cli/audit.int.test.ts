import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { auditReport, finding } from '../../packages/cli/src/commands/audit/schema.js'
import { schemaProblems } from '../support/json-schemas.js'
import { GOLDENS, goldenFiles, SAVE_FILES } from '../support/goldens.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
const log = folder.path('shop.db')
const rulesAt106 = folder.path('at-106.txt')
beforeAll(async () => {
  await runPointsman(['import', SHOP_RECORDING, '--log', log])
  const { stdout } = await runPointsman(['render', ...SHOP, '--at', '106'])
  writeFileSync(rulesAt106, stdout)
})
afterAll(folder.remove)

const SHOP = ['--log', log, '--cluster-cidr', '10.244.0.0/16']
const audit = (args: readonly string[], input?: string): Promise<Ended> =>
  runPointsman(['audit', ...args], input === undefined ? {} : { input })
const linesOf = ({ stdout }: Ended): readonly string[] => stdout.trimEnd().split('\n')
const withoutHashes = (lines: readonly string[]): readonly string[] =>
  lines.map((line) => line.replaceAll(/(KUBE-[A-Z]{3}-)[A-Z0-9]{16}/g, '$1*'))

const { args: objects, saved } = goldenFiles('cluster-ip', folder)
const save = saved['iptables-save.txt']

/** What an audit says of the golden's rules with one of them altered. */
async function afterChange(change: (text: string) => string): Promise<readonly string[]> {
  const text = change(save)
  expect(text).not.toBe(save)
  const ended = await audit([...objects, '--rules', '-'], text)
  expect(ended).toMatchObject({ status: 1, stderr: '' })
  return withoutHashes(linesOf(ended))
}

const AGAIN =
  '    to do: the proxy puts it right at its next full sync, or when it is restarted; `pointsman apply` does it now'
const jump = /^-A KUBE-SVC-\w+ .* -j KUBE-SEP-\w+\n/m

describe('an audit of saved rules', () => {
  test.concurrent.for(GOLDENS)('finds nothing in what kube-proxy wrote: %s', async (scenario, { expect }) => {
    const golden = goldenFiles(scenario, folder)
    for (const file of SAVE_FILES) {
      const ended = await audit([...golden.args, '--rules', '-'], golden.saved[file])
      expect({ status: ended.status, first: linesOf(ended)[0], stderr: ended.stderr }).toEqual({
        status: 0,
        first: 'the rules are as they should be',
        stderr: '',
      })
      expect(linesOf(ended)[1]).toMatch(
        new RegExp(
          `^${file.startsWith('ip6') ? 'IPv6' : 'IPv4'}, .*, [\\d,]+ rules; compared with those expected from objects, node node-a$`,
        ),
      )
    }
  })

  test('finds a rule that was removed, and says whose it is and what to do', async () => {
    const [line = ''] = jump.exec(save) ?? []
    const told = await afterChange((text) => text.replace(jump, ''))
    expect(told).toEqual([
      '1 finding: 1 missing rule',
      expect.stringMatching(/^IPv4, .*, \d+ rules; compared with those expected from objects, node node-a$/),
      '- expected, + found',
      '',
      expect.stringMatching(/^[a-z-]+\/\S+ (TCP|UDP|SCTP)$/),
      '  IPv4 nat KUBE-SVC-*  spreads over its endpoints',
      '    MISSING_RULE: the rule is missing',
      withoutHashes([`    - ${line.trimEnd()}`])[0],
      AGAIN,
    ])
  })

  test('finds a rule that was changed, as what it should be and what it is', async () => {
    const told = await afterChange((text) => text.replace(/^(-A KUBE-SEP-.*--to-destination \S+):\d+$/m, '$1:9'))
    expect(told[0]).toBe('1 finding: 1 changed rule')
    expect(told).toContain('    CHANGED_RULE: the rule differs from the expected one')
    expect(told.find((line) => line.startsWith('    - -A KUBE-SEP-*'))).toMatch(/:\d\d+$/)
    expect(told.find((line) => line.startsWith('    + -A KUBE-SEP-*'))).toMatch(/:9$/)
  })

  test('finds a rule that was moved', async () => {
    const nodePorts = /^-A KUBE-SERVICES .*-j KUBE-NODEPORTS\n/m
    const [line = ''] = nodePorts.exec(save) ?? []
    const told = await afterChange((text) =>
      text.replace(nodePorts, '').replace(/^-A KUBE-SERVICES .*-j KUBE-SVC/m, `${line}$&`),
    )
    expect(told[0]).toMatch(/^\d+ findings?: \d+ rules? out of order$/)
    expect(told).toContain('  IPv4 nat KUBE-SERVICES')
  })

  test('finds a rule of somebody else in a chain of ours, and one of a Service that is gone', async () => {
    const foreign = '-A KUBE-SERVICES -s 192.0.2.1/32 -j ACCEPT\n'
    const gone = '-A KUBE-SERVICES -d 10.96.9.9/32 -p tcp -m comment --comment "old/gone:http cluster IP" -j ACCEPT\n'
    const told = await afterChange((text) => text.replace(/^-A KUBE-SERVICES .*-j KUBE-SVC/m, `${foreign}${gone}$&`))
    expect(told[0]).toBe('2 findings: 1 foreign rule, 1 rule left over')
    expect(told.slice(4)).toEqual([
      'of no service',
      '  IPv4 nat KUBE-SERVICES',
      '    FOREIGN_RULE: a rule that no proxy writes, in a chain of the proxy',
      `    + ${foreign.trimEnd()}`,
      '    to do: have its owner put it into a chain of its own: the proxy deletes what it finds in its chains',
      '',
      'old/gone:http',
      '  IPv4 nat KUBE-SERVICES',
      '    LEFT_OVER_RULE: a rule of a service port or frontend that no longer exists',
      `    + ${gone.trimEnd()}`,
      AGAIN,
    ])
  })

  test("finds somebody else's use of the mark bit, and leaves what CNIs do alone", async () => {
    const theirs = '-A FORWARD -m mark --mark 0x4000/0x4000 -j DROP\n'
    const normal = '-A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n'
    const told = await afterChange((text) => text.replace(/^-A FORWARD .*\n/m, `${theirs}${normal}$&`))
    expect(told[0]).toBe('1 finding: 1 use of the masquerade mark bit by another program')
    expect(told).toContain(`    + ${theirs.trimEnd()}`)
  })

  test('says once of a table that was flushed that nothing of ours is in it', async () => {
    const told = await afterChange((text) =>
      text.replace(/\*nat\n[^]*?COMMIT/, '*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT'),
    )
    expect(told[0]).toBe('1 finding: 1 table without any chain of the proxy')
    expect(told.slice(2, 6)).toEqual([
      '',
      'of no service',
      '  IPv4 nat',
      "    NO_CHAINS: the table has none of the proxy's chains",
    ])
  })

  test('shows the first of many findings, and counts the others', async () => {
    const large = goldenFiles('large-cluster', folder)
    const text = large.saved['iptables-save.txt'].replaceAll(/^-A KUBE-SEP-.*-j KUBE-MARK-MASQ\n/gm, '')
    const ended = await audit([...large.args, '--rules', '-'], text)
    const [, count = ''] = /^([\d,]+) findings: \1 missing rules$/.exec(linesOf(ended)[0] ?? '') ?? []
    const shown = linesOf(ended).filter((line) => line.includes('MISSING_RULE')).length
    const more = Number(count.replace(',', '')) - shown
    expect(linesOf(ended).at(-1)?.replace(',', '')).toBe(`and ${more} findings more: -o json has them all`)
  })
})

describe('an audit against a log', () => {
  test('finds nothing in the rules of the same moment', async () => {
    const ended = await audit([...SHOP, '--at', '106', '--rules', rulesAt106])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(linesOf(ended)[0]).toBe('the rules are as they should be')
  })

  test('says which record would have made a rule or removed it, what was behind that, and who', async () => {
    const ended = await audit([...SHOP, '--at', '108', '--rules', rulesAt106])
    expect(ended.status).toBe(1)
    const told = withoutHashes(linesOf(ended))
    const behind =
      '    caused by: seq 107  2026-11-21T02:24:44.177Z  Service shop/checkout, by kubectl-edit: selector app=checkout -> app=checkout,tier=backend'
    expect(told.slice(0, 10)).toEqual([
      '5 findings: 1 missing rule, 1 rule left over, 3 chains left over',
      expect.stringContaining('compared with those expected at seq 108, 2026-11-21T02:24:44.181Z, node node-a'),
      '- expected, + found',
      '',
      'shop/checkout:http TCP',
      '  IPv4 filter KUBE-SERVICES',
      '    MISSING_RULE: the rule is missing',
      '    - -A KUBE-SERVICES -d 10.96.50.2/32 -p tcp -m comment --comment "shop/checkout:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
      '    made by seq 108  2026-11-21T02:24:44.181Z  MODIFIED EndpointSlice shop/checkout-wbn79, by kube-controller-manager-1.36: 2 -> 0 endpoints in use',
      behind,
    ])
    expect(told.filter((line) => line === behind)).toHaveLength(5)
    expect(told).toContain(
      '    removed by seq 108  2026-11-21T02:24:44.181Z  MODIFIED EndpointSlice shop/checkout-wbn79, by kube-controller-manager-1.36: endpoint 10.244.1.14:8080 (checkout-v1-0) left',
    )
  })

  test('says it of the chain of a large cluster too, which has no comment', async () => {
    const bare = folder.path('bare.txt')
    const { stdout } = await runPointsman(['render', ...SHOP, '--at', '106'])
    writeFileSync(bare, stdout.replaceAll(/^(-A KUBE-SEP-.*?) -m comment --comment "[^"]*"/gm, '$1'))
    const { stdout: told } = await audit([...SHOP, '--at', '108', '--rules', bare, '-o', 'jsonl'])
    const items = told
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly chain: string; readonly cause?: { readonly seq?: number } })
    const endpoints = items.filter(({ chain }) => chain.startsWith('KUBE-SEP-'))
    expect(endpoints.map(({ cause }) => cause?.seq)).toEqual([108, 108])
  })

  describe('says of a rule that is there whatever services there are', () => {
    const without = (name: string, pattern: RegExp, save: string): string => {
      const path = folder.path(name)
      const text = save.replace(pattern, '')
      expect(text).not.toBe(save)
      writeFileSync(path, text)
      return path
    }
    const madeBy = (ended: Ended): readonly string[] => linesOf(ended).filter((line) => /^ +made by /.test(line))

    test('that the configuration made it, or the record of that', async () => {
      const { stdout: whole } = await runPointsman(['render', ...SHOP, '--at', '106'])
      const rules = without('no-masquerade.txt', /^-A KUBE-POSTROUTING .*-j MASQUERADE.*\n|^-A OUTPUT .*\n/gm, whole)
      const given = await audit([...SHOP, '--at', '106', '--rules', rules])
      expect(linesOf(given)[0]).toBe('5 findings: 4 missing jumps, 1 missing rule')
      expect(madeBy(given)).toEqual(Array.from({ length: 5 }, () => '    made by the configuration'))

      const agents = folder.path('configured.db')
      await runPointsman(['replay', log, '--cluster-cidr', '10.244.0.0/16', '--record', agents])
      const recorded = await audit(['--log', agents, '--rules', rules])
      const byConfig = madeBy(recorded).filter((line) => /^ +made by seq 1 .* the effective configuration$/.test(line))
      expect(byConfig).toHaveLength(5)
    })

    test('that the Node made it, where it says an address of the node', async () => {
      const asked = [...SHOP, '--nodeport-addresses', 'primary', '--at', '106']
      const { stdout: whole } = await runPointsman(['render', ...asked])
      const rules = without('no-node-ports.txt', /^-A KUBE-SERVICES .*-j KUBE-NODEPORTS\n/m, whole)
      expect(madeBy(await audit([...asked, '--rules', rules]))).toEqual([
        expect.stringMatching(/^ +made by seq \d+ .* ADDED Node node-a, by deployer: Node created$/),
      ])
    })
  })

  test('is held against what was in force, if asked, and not against what was only seen', async () => {
    const agents = folder.path('agents.db')
    await runPointsman(['replay', log, '--cluster-cidr', '10.244.0.0/16', '--record', agents])
    // Seen, and not yet synced: the edit, and what followed from it.
    const asked = ['--log', agents, '--at', '02:24:44.2', '--rules', rulesAt106]
    const seen = await audit(asked)
    expect(linesOf(seen)[0]).toBe('5 findings: 1 missing rule, 1 rule left over, 3 chains left over')
    expect(await audit([...asked, '--applied'])).toMatchObject({ status: 0, stderr: '' })
  })

  test('as JSON has the shape of its document', async () => {
    const asked = [...SHOP, '--at', '108', '--rules', rulesAt106]
    const { stdout } = await audit([...asked, '-o', 'json'])
    const document = JSON.parse(stdout) as { readonly items: readonly unknown[] }
    expect(schemaProblems(document, auditReport)).toEqual([])
    expect(document).toMatchObject({ kind: 'AuditReport', clean: false, at: { seq: 108 }, node: 'node-a' })
    expect(document).toMatchObject({
      items: [{ type: 'MISSING_RULE', service: 'shop/checkout', cause: { did: 'made', seq: 108 } }, {}, {}, {}, {}],
    })
    const lines = await audit([...asked, '-o', 'jsonl'])
    expect(linesOf(lines).map((line) => JSON.parse(line) as unknown)).toEqual(document.items)
    expect(document.items.flatMap((item) => schemaProblems(item, finding))).toEqual([])

    const clean = await audit([...SHOP, '--at', '106', '--rules', rulesAt106, '-o', 'json'])
    expect(clean.status).toBe(0)
    expect(schemaProblems(JSON.parse(clean.stdout), auditReport)).toEqual([])
    expect(JSON.parse(clean.stdout)).toMatchObject({ clean: true, items: [] })
  })
})

describe('an audit that cannot be', () => {
  test.each([
    ['a table twice', [...SHOP, '--rules', '-'], '*nat\nCOMMIT\n*nat\nCOMMIT\n', 'has the table nat twice'],
    ['no save', [...SHOP, '--rules', '-'], 'hello\n', 'line 1: "hello": not a line of a restore'],
    ['no table', [...SHOP, '--rules', '-'], '# nothing\n', 'has no table: give what iptables-save prints'],
    ['the other family', [...SHOP, '--rules', '-', '--family', 'ipv6'], save, 'has rules of IPv4'],
    ['two families', [...SHOP, '--rules', '-', '--family', 'dual'], save, '--rules are of one family'],
    ['a variant of a file', [...SHOP, '--rules', '-', '--iptables-variant', 'nft'], save, 'leave it out with --rules'],
    ['one input for two', ['--objects', '-', '--rules', '-'], save, 'cannot both be read from standard input'],
    ['no input', ['--rules', '-'], save, 'no log given: use --log FILE'],
    ['a file that is not there', [...SHOP, '--rules', folder.path('no.txt')], '', 'no.txt'],
  ])('%s ends with status 2 and one line', async (_, args, input, words) => {
    const ended = await audit(args, input)
    expect(ended).toMatchObject({ status: 2, stdout: '' })
    expect(ended.stderr).toContain(words)
    expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})

test('an audit of the tables of a machine without privileges ends with status 3 and one line', async () => {
  const dropped = '-net_admin,-net_raw'
  const { status, stdout, stderr } = await runPointsman(['audit', ...SHOP], {
    prefix: process.getuid?.() === 0 ? ['setpriv', `--bounding-set=${dropped}`, `--inh-caps=${dropped}`] : [],
  })
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
  expect(stderr).toMatch(/^error: .*CAP_NET_ADMIN.*\n$/)
})
