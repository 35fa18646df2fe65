import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { reportInput, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

const pointsman = (...args: readonly string[]): Promise<Ended> => runPointsman(args)

describe('rules as they are pasted (17-pasted-rules)', () => {
  const trace = (rules: string, ...more: readonly string[]) =>
    pointsman('trace', 'tcp 10.42.0.9 -> 10.43.0.1:443', '--rules', rules, '--node-address', '192.0.2.10', ...more)
  const pasted = (name: string): string => reportInput(`17-pasted-rules/${name}.txt`)

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

  test('are refused where the packet comes to a chain of a Service that grep left out', async () => {
    const chains = readFileSync(pasted('iptables-save-grep-KUBE'), 'utf8')
    const endpoint = /^-A (KUBE-SEP-\S+) .*6443/m.exec(chains)?.[1] ?? ''
    const { status, stderr } = await trace(folder.write('left-out', chains.replaceAll(/^-A KUBE-SEP-.*\n/gm, '')))
    expect(status).toBe(2)
    expect(stderr).toContain(`the packet comes to ${endpoint}, and the text has no rule of it`)
  })

  test.each(['nft-ip.txt', 'nft-ip.json'])('are traced as nft lists them: %s', async (file) => {
    const listing = fileURLToPath(
      new URL(`../../fixtures/golden/kube-proxy-1.36-nftables/session-affinity/${file}`, import.meta.url),
    )
    const asked = (packet: string): Promise<Ended> =>
      pointsman('trace', packet, '--rules', listing, '--node-address', '192.168.55.10', '--affinity', 'none')
    const refused = await asked('tcp 10.244.1.9 -> 10.96.0.1:443')
    expect(refused.status).toBe(1)
    expect(refused.stdout).toContain('is rejected with icmp-port-unreachable by rule 1 of ip kube-proxy reject-chain')
    const served = await asked('tcp 10.244.1.9 -> 10.96.11.11:80')
    expect(served.status).toBe(0)
    expect(served.stdout).toMatch(/^ +1\/3 {2}10\.244\.2\.52:8080 {2}10\.244\.1\.9$/m)
  })

  test('are refused to an audit when they are a part', async () => {
    const objects = ['--objects', reportInput('22-config-as-kubeadm-has-it/base.yaml')]
    const { status, stderr } = await pointsman('audit', '--rules', pasted('iptables-save-grep-KUBE'), ...objects)
    expect(status).toBe(2)
    expect(stderr).toMatch(/is a part of the rules, and an audit needs all: give the whole output of `iptables-save`/)
  })

  test.each<readonly [string, string | Buffer, RegExp]>([
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
    const { status, stdout, stderr } = await trace(folder.write(name, content))
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/^error: [^\n]*\n$/)
    expect(stderr).toMatch(message)
  })

  test('are read from Windows PowerShell, which writes UTF-16', async () => {
    const save =
      '*nat\r\n:PREROUTING ACCEPT [0:0]\r\n-A PREROUTING -d 10.43.0.1/32 -m comment --comment "é" -j DNAT --to-destination 192.0.2.10:6443\r\nCOMMIT\r\n'
    const { stdout } = await trace(folder.write('utf16', Buffer.from(`\uFEFF${save}`, 'utf16le')))
    expect(stdout).toContain('sent to 192.0.2.10:6443')
    expect((await trace(folder.write('latin1', Buffer.from(save, 'latin1')))).stdout).toContain(
      'sent to 192.0.2.10:6443',
    )
  })
})

describe('rules in a directory as sosreport makes it', () => {
  const golden = (name: string): string =>
    fileURLToPath(new URL(`../../fixtures/golden/kube-proxy-1.36/dual-stack/${name}`, import.meta.url))
  const sos = folder.path('sos')
  const tables = `${sos}/sos_commands/firewall_tables`
  mkdirSync(tables, { recursive: true })
  for (const name of ['iptables-save', 'ip6tables-save']) cpSync(golden(`${name}.txt`), `${tables}/${name}`)
  cpSync(golden('objects.json'), `${sos}/objects.json`)
  writeFileSync(`${tables}/nft_list_ruleset`, 'table ip nat {\n}\n')

  test.each([
    ['10.244.1.9 -> 10.96.16.16:80', 'iptables-save', '10.244.1.101:8080'],
    ['fd00:10:244:1::9 -> [fd00:10:96::1616]:80', 'ip6tables-save', '8080'],
  ])('are those of the family of the packet %s', async (packet, save, endpoint) => {
    const { stdout, stderr } = await pointsman(
      'trace',
      `tcp ${packet}`,
      '--rules',
      sos,
      '--node-address',
      '192.168.55.10',
    )
    expect(stdout).toContain(endpoint)
    expect(stderr).toMatch(new RegExp(`^warning: the rules are those of \\S+/firewall_tables/${save}\\n$`))
  })

  test('are audited against the objects beside them', async () => {
    const { status, stdout } = await pointsman(
      'audit',
      '--rules',
      sos,
      '--objects',
      sos,
      '--node',
      'node-a',
      '--config',
      golden('config.json'),
    )
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringContaining('the rules are as they should be'),
    })
  })

  test('are put together of what iptables -nvL printed of each table', async () => {
    const chain = (name: string, ...rows: readonly string[]): string =>
      `Chain ${name} (${name.startsWith('KUBE') ? '1 references' : 'policy ACCEPT 0 packets, 0 bytes'})\n pkts bytes target     prot opt in     out     source               destination         \n${rows.join('\n')}\n\n`
    const listings = folder.path('sos-nvl')
    mkdirSync(listings)
    writeFileSync(
      `${listings}/iptables_-t_nat_-nvL`,
      chain(
        'PREROUTING',
        '    0     0 KUBE-SERVICES  0    --  *      *       0.0.0.0/0            0.0.0.0/0            /* kubernetes service portals */',
      ) +
        chain(
          'KUBE-SERVICES',
          '    0     0 DNAT       6    --  *      *       0.0.0.0/0            10.96.0.1            tcp dpt:443 to:192.0.2.20:6443',
        ),
    )
    writeFileSync(
      `${listings}/iptables_-nvL`,
      chain('INPUT') +
        chain(
          'FORWARD',
          '    0     0 REJECT     6    --  *      *       0.0.0.0/0            192.0.2.20           reject-with icmp-port-unreachable',
        ),
    )
    const { stdout } = await pointsman(
      'trace',
      'tcp 10.244.1.9 -> 10.96.0.1:443',
      '--rules',
      listings,
      '--node-address',
      '192.0.2.9',
    )
    expect(stdout).toMatch(/is rejected with icmp-port-unreachable by rule 1 of filter FORWARD/)
    expect(stdout).not.toContain('no line names the tables')
  })

  test('are refused where two files have them, or none', async () => {
    const two = folder.path('two')
    mkdirSync(two)
    for (const name of ['node-a', 'node-b'])
      writeFileSync(
        `${two}/${name}.txt`,
        `*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.0.0.0/8 -m comment --comment ${name} -j RETURN\nCOMMIT\n`,
      )
    const trace = (rules: string) =>
      pointsman('trace', 'tcp 10.244.1.9 -> 10.96.0.1:443', '--rules', rules, '--node-address', '192.0.2.9')
    expect((await trace(two)).stderr).toMatch(
      /^error: \S+two: several files have rules of IPv4 \(\S+node-a\.txt, \S+node-b\.txt\): give one of them with --rules\n$/,
    )
    const none = folder.path('no-rules')
    mkdirSync(none)
    writeFileSync(`${none}/x`, 'y\n')
    expect((await trace(none)).stderr).toMatch(
      /^error: \S+no-rules: none of its 1 files has rules: give what `iptables-save` prints\n$/,
    )
  })
})
