import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const golden = (scenario: string, file: string): string =>
  fileURLToPath(new URL(`../../fixtures/golden/kube-proxy-1.36-nftables/${scenario}/${file}`, import.meta.url))

const asked = (scenario: string): readonly string[] => [
  '--objects',
  golden(scenario, 'objects.json'),
  '--config',
  golden(scenario, 'config.json'),
]

const LOCAL = 'external-traffic-policy-local'
const NFTABLES = ['--proxy-mode', 'nftables', '--layout', 'kube-proxy', '--cluster-cidr', '10.244.0.0/16']

describe('in mode nftables', () => {
  test('render prints a transaction that replaces the table', async () => {
    const { status, stdout, stderr } = await runPointsman(['render', ...asked('cluster-ip')])
    expect({ status, lines: stdout.split('\n').slice(0, 3) }).toEqual({
      status: 0,
      lines: [
        'add table ip kube-proxy { comment "rules for kube-proxy" ; }',
        'delete table ip kube-proxy',
        'add table ip kube-proxy { comment "rules for kube-proxy" ; }',
      ],
    })
    expect(stderr).toContain('IPv4 rules for nft 1.0.1 and later')
    expect(stdout).toContain('add element ip kube-proxy cluster-ips { 10.110.243.155 }\n')
  })

  test('flags alone ask for it, and a layout of mode iptables is refused', async () => {
    const args = ['render', '--objects', golden(LOCAL, 'objects.json'), '--node', 'node-a', '--proxy-mode', 'nftables']
    const { status, stdout } = await runPointsman([...args, '--layout', 'kube-proxy'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('tcp . 30901 comment') as string })
    const refused = await runPointsman([...args, '--layout', 'current'])
    expect(refused).toMatchObject({ status: 2, stdout: '' })
    expect(refused.stderr).toContain('--layout current is none of mode nftables')
  })

  test('rules of a Service are its chains and elements, and those of a chain say what leads to it', async () => {
    const { status, stdout } = await runPointsman(['rules', 'default/nolocal', ...asked(LOCAL)])
    expect(status).toBe(0)
    expect(stdout).toContain('node port   30901          -> dropped: no endpoints on this node')
    expect(stdout).toContain('no-endpoint-nodeports { tcp . 30901 comment "default/nolocal:http" : drop }')
    const chain = 'external-TU6EWRMO-default/nolocal/tcp/http'
    const ofChain = await runPointsman(['rules', chain, ...asked(LOCAL)])
    expect(ofChain.stdout).toContain('led to by')
    expect(ofChain.stdout).toContain(`service-nodeports { tcp . 30901 : goto ${chain} }`)
  })

  test('audit compares a listing of nft, and refuses the text that nft prints for people', async () => {
    const same = await runPointsman(['audit', '--rules', golden(LOCAL, 'nft-ip.json'), ...asked(LOCAL)])
    expect(same).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('the rules are as they should be') as string,
    })
    const other = await runPointsman(['audit', '--rules', golden('cluster-ip', 'nft-ip.json'), ...asked(LOCAL)])
    expect(other.status).toBe(1)
    expect(other.stdout).toContain('MISSING_ELEMENT')
    const forPeople = await runPointsman(['audit', '--rules', golden(LOCAL, 'nft-ip.txt'), ...asked(LOCAL)])
    expect(forPeople).toMatchObject({ status: 2, stdout: '' })
    expect(forPeople.stderr).toContain('give the output of `nft -j list ruleset`, as JSON')
  })

  describe('with a log', () => {
    const folder = temporaryFolder()
    const log = folder.path('shop.db')
    beforeAll(async () => void (await runPointsman(['import', SHOP_RECORDING, '--log', log])))
    afterAll(folder.remove)

    test('blame names the event behind an element, also where a line of nft is pasted', async () => {
      const { stdout } = await runPointsman(['rules', 'shop/checkout', '--log', log, ...NFTABLES, '--at', '100'])
      const element = /add element ip kube-proxy service-ips \{ .*checkout.* \}/.exec(stdout)?.[0] ?? ''
      expect(element).not.toBe('')
      const blamed = await runPointsman(['blame', element, '--log', log, ...NFTABLES, '--at', '100'])
      expect(blamed).toMatchObject({ status: 0, stdout: expect.stringContaining('shop/checkout') as string })
    })

    test('diff tells which rules and elements an event changed', async () => {
      const { status, stdout } = await runPointsman(['diff', '1', '128', '--log', log, ...NFTABLES])
      expect(status).toBe(1)
      expect(stdout).toMatch(/service-ips/)
    })
  })
})

test('the listing that a kube-proxy left is what is rendered, rule for rule', async () => {
  const { stdout } = await runPointsman(['render', ...asked('session-affinity')])
  const text = readFileSync(golden('session-affinity', 'nft-ip.txt'), 'utf8')
  const rules = [...stdout.matchAll(/^add rule ip kube-proxy \S+ (.*)$/gm)].map(([, rule = '']) => rule)
  for (const rule of rules) expect(text).toContain(`\t\t${rule}\n`)
})
