import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readPastedRules } from './pasted-rules.js'
import { CLASSIC_GOLDENS, GOLDENS, readClassicGolden, readGolden } from './test-support/goldens.js'
import { rulesIn } from './test-support/rules-in.js'

const SAVES: readonly (readonly [string, string])[] = [
  ...GOLDENS.flatMap((scenario) =>
    (['IPv4', 'IPv6'] as const).map(
      (family) => [`${scenario}, ${family}`, readGolden(scenario).saved[family]] as const,
    ),
  ),
  ...CLASSIC_GOLDENS.map((scenario) => [`1.20, ${scenario}`, readClassicGolden(scenario).saved] as const),
]

const report = (file: string): string =>
  readFileSync(new URL(`../../../fixtures/reports/17-pasted-rules/${file}`, import.meta.url), 'utf8')

const read = (text: string) => readPastedRules(text, (message) => new Error(message))

/** Rules alone, by table. */
function ruleLines(lines: readonly string[]): { readonly [table: string]: readonly string[] } {
  const tables: { [table: string]: string[] } = {}
  let table = ''
  for (const line of lines) {
    if (line.startsWith('*')) table = line.slice(1)
    else if (line.startsWith('-A')) (tables[table] ??= []).push(line)
  }
  return tables
}

const SAVE = [
  '*filter',
  ':INPUT ACCEPT [0:0]',
  ':KUBE-FORWARD - [0:0]',
  '-A INPUT -m comment --comment "a \\"b\\" -c 1 2 >" -j ACCEPT',
  '-A KUBE-FORWARD -j DROP',
  'COMMIT',
].join('\n')

describe('a save as it was pasted', () => {
  test.each<readonly [string, (save: string) => string]>([
    ['with carriage returns', (save) => save.replaceAll('\n', '\r\n')],
    ['with a prompt and the command', (save) => `[root@node ~]# iptables-save\n${save}\n[root@node ~]# `],
    ['with the prompt of a user', (save) => `me@node-a:~$ sudo iptables-save\n${save}\nme@node-a:~$ exit`],
    [
      'from a Pod',
      (save) =>
        `$ kubectl -n kube-system exec kube-proxy-x -- iptables-save\nDefaulted container "kube-proxy" out of: kube-proxy\n${save}\n`,
    ],
    ['indented, as code', (save) => `\`\`\`\n${save.replaceAll(/^/gm, '    ')}\n\`\`\`\n`],
    ['quoted', (save) => save.replaceAll(/^/gm, '> ')],
    [
      'with numbers',
      (save) =>
        save
          .split('\n')
          .map((line, at) => `${at + 1}:${line}`)
          .join('\n'),
    ],
    ['with the colours of grep', (save) => save.replaceAll('KUBE', '\u001B[01;31m\u001B[KKUBE\u001B[m\u001B[K')],
    ['with counters', (save) => save.replaceAll(/^-A/gm, '[12:3456] -A')],
    ['with blanks before and after', (save) => `\n\n${save}\n\n\n`],
  ])('is read: %s', async (_, paste) => {
    expect(await rulesIn(paste(SAVE))).toEqual(await rulesIn(SAVE))
    expect(read(paste(SAVE))).toMatchObject({ notes: [], isPart: false })
  })

  test('says where it is cut', () => {
    const cut = read(SAVE.replace('COMMIT', '...\nCOMMIT'))
    expect(cut).toMatchObject({ isPart: true, notes: [expect.stringMatching(/^lines are left out/)] })
  })

  test('keeps the numbers of its lines in what is wrong with it', async () => {
    await expect(rulesIn(`$ iptables-save\r\n\r\n${SAVE.replace('-j DROP', '-p !\r')}`)).rejects.toThrow(/line 7: /)
  })
})

describe('lines that grep leaves of a save', () => {
  test.each(SAVES)('are of their own tables: %s', (_, save) => {
    const lines = save.split('\n')
    for (const kept of [/^-A/, /^-A|^:/, /KUBE/, /^-A KUBE-(?:SVC|SEP|SERVICES)/]) {
      const left = lines.filter((line) => kept.test(line)).join('\n')
      const { lines: found, isPart } = read(left)
      const expected = ruleLines(lines.map((line) => (/^[*]/.test(line) || kept.test(line) ? line : '')))
      const own = ruleLines(found)
      // What kube-proxy jumps by is added behind what is there.
      for (const [table, rules] of Object.entries(expected)) expect(own[table]?.slice(0, rules.length)).toEqual(rules)
      expect(Object.keys(own).toSorted()).toEqual(Object.keys(expected).toSorted())
      // Policies are only in whole tables.
      expect(isPart).toBe(!left.includes(':INPUT'))
    }
  })

  test('get the jumps of kube-proxy, which is said (17-pasted-rules)', () => {
    const { lines, notes } = read(report('iptables-save-grep-KUBE.txt'))
    expect(lines).toEqual(
      expect.arrayContaining(['-A PREROUTING -j KUBE-SERVICES', '-A POSTROUTING -j KUBE-POSTROUTING']),
    )
    expect(notes).toEqual([
      'no line names the tables: they are inferred from the chains, with their numbers of rules: nat (9), filter (2)',
      'the text is a part of a save: rules that are not in it are taken not to be there',
      "no line of nat leads to KUBE-SERVICES, KUBE-POSTROUTING: kube-proxy's own jumps are taken to be there",
      'no line of nat is of KUBE-NODEPORTS: taken to be empty',
      "no line of filter leads to KUBE-FIREWALL, KUBE-FORWARD: kube-proxy's own jumps are taken to be there",
    ])
  })

  test('are refused where two tables are possible', () => {
    expect(() => read('-A OUTPUT -d 10.96.0.1/32 -j ACCEPT\n')).toThrow(
      'line 1: the rules of OUTPUT can be of the tables nat and filter and mangle and raw: give the whole output of iptables-save',
    )
  })

  test('are completed where grep left the tables', async () => {
    const grepped = SAVE.split('\n')
      .filter((line) => !line.startsWith(':'))
      .join('\n')
    expect(await rulesIn(grepped)).toMatchObject({ filter: { INPUT: [expect.anything(), expect.anything()] } })
    expect(read(grepped).notes).toEqual(['the text is a part of a save: it does not declare INPUT, KUBE-FORWARD'])
  })
})

describe('what iptables -S prints', () => {
  test('of the table nat is that table (17-pasted-rules)', async () => {
    const found = read(report('iptables-t-nat-S.txt'))
    expect(found).toMatchObject({
      isPart: true,
      notes: [expect.stringMatching(/inferred from the chains.*: nat \(14\)$/)],
    })
    const whole = await rulesIn(report('crlf.txt'))
    expect(await rulesIn(report('iptables-t-nat-S.txt'))).toEqual({ nat: whole['nat'] })
  })

  test('of several tables is assigned to its table by policies or by the command', async () => {
    const filter = '-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N KUBE-FORWARD\n-A FORWARD -j KUBE-FORWARD\n'
    const nat = '-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-P POSTROUTING ACCEPT\n'
    const both = await rulesIn(filter + nat)
    expect(Object.keys(both).toSorted()).toEqual(['filter', 'nat'])
    expect(await rulesIn(`# iptables -S\n${filter}# iptables -t nat -S\n${nat}`)).toEqual(both)
    expect(read(`# iptables -S\n${filter}# iptables -t nat -S\n${nat}`)).toMatchObject({ notes: [], isPart: false })
    expect(() => read(filter + filter)).toThrow('the table filter is there twice')
  })
})

describe('what iptables -L prints', () => {
  const chain = (line: string): string =>
    `# iptables -nvL\nChain FORWARD (policy DROP 1 packets, 2 bytes)\n pkts bytes target     prot opt in     out     source               destination         \n${line}\n`

  test.each([
    [
      '    0     0 ACCEPT     tcp  --  eth0   !cni0   !10.0.0.0/8           0.0.0.0/0            tcp dpts:80:90',
      '! -s 10.0.0.0/8 -i eth0 ! -o cni0 -p tcp -m tcp --dport 80:90 -j ACCEPT',
    ],
    ['   1K   2M            all  --  *      *       0.0.0.0/0            0.0.0.0/0           ', ''],
    [
      '    0     0 X          0    --  *      *       0.0.0.0/0            0.0.0.0/0           [goto]  /* a "b" */',
      '-m comment --comment "a \\"b\\"" -g X',
    ],
  ])('is read: %s', (line, rule) => {
    expect(ruleLines(read(chain(line)).lines)['filter']?.[0] ?? read(chain(line)).lines.join()).toContain(
      `-A FORWARD ${rule}`.trim(),
    )
  })

  test.each([
    [
      'a match that is not known',
      chain('0 0 ACCEPT all -- * * 0.0.0.0/0 0.0.0.0/0 PHYSDEV match --physdev-is-bridged'),
      /line 4: "PHYSDEV match .*" in what iptables -L prints leaves doubts: run `iptables-save`/,
    ],
    ['names in place of addresses', chain('0 0 ACCEPT all -- * * anywhere 0.0.0.0/0'), /line 4: "anywhere"/],
    [
      'a comment that ends twice',
      chain('0 0 ACCEPT all -- * * 0.0.0.0/0 0.0.0.0/0 /* a */ tcp dpt:1 */'),
      /leaves doubts/,
    ],
    [
      'no interfaces',
      'Chain INPUT (policy ACCEPT)\ntarget     prot opt source               destination\n',
      /line 2: this is iptables -L without -v, which leaves out interfaces: run `iptables-save`/,
    ],
  ])('is refused with %s', (_, text, message) => {
    expect(() => read(text)).toThrow(message)
  })
})
