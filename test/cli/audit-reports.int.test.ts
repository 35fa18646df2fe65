import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { reportInput } from '../support/shop.js'
import { auditReport } from '../../packages/cli/src/commands/audit/schema.js'
import { schemaProblems } from '../support/json-schemas.js'

const audit = (args: readonly string[]): Promise<Ended> => runPointsman(['audit', ...args])
const linesOf = ({ stdout }: Ended): readonly string[] => stdout.trimEnd().split('\n')

describe('an audit of what people reported', () => {
  const reported = (folderName: string, files: readonly string[], ...more: readonly string[]): Promise<Ended> =>
    audit([
      '--rules',
      reportInput(`${folderName}/rules.txt`),
      '--cluster-cidr',
      '10.244.0.0/16',
      ...files.flatMap((file) => ['--objects', reportInput(`${folderName}/${file}`)]),
      ...more,
    ])

  test('says which of two Services with one external IP is first on this node (10-same-external-ip)', async () => {
    const ended = await reported('10-same-external-ip', ['base.yaml', 'objects.yaml'])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(linesOf(ended).slice(2)).toEqual([
      '',
      'note: IPv4 203.0.113.9:80 (TCP) is claimed by web/edge-b:web and web/edge-a:web: on this node web/edge-a:web is first and has its packets. kube-proxy does not define which of them wins on a node; Pointsman lets the older win: web/edge-b:web',
      expect.stringMatching(/^ {4}-A KUBE-SERVICES -d 203\.0\.113\.9\/32 .*"web\/edge-a:web external IP"/),
      expect.stringMatching(/^ {4}-A KUBE-SERVICES -d 203\.0\.113\.9\/32 .*"web\/edge-b:web external IP"/),
    ])
    const json = await reported('10-same-external-ip', ['base.yaml', 'objects.yaml'], '-o', 'json')
    expect(schemaProblems(JSON.parse(json.stdout), auditReport)).toEqual([])
    expect(JSON.parse(json.stdout)).toMatchObject({ clean: true, items: [], notes: [{ family: 'IPv4' }] })
  })

  test('says that rules are of ipvs mode, and does not hold them against others (11-ipvs-mode)', async () => {
    const ended = await reported('11-ipvs-mode', ['base.yaml'])
    expect(ended).toMatchObject({ status: 1, stderr: '' })
    expect(linesOf(ended)).toEqual([
      '1 finding: 1 ruleset of ipvs mode',
      expect.stringMatching(/^IPv4, .*, 17 rules; not compared with those expected from objects, node node-a$/),
      '',
      'all rules',
      '  IPv4 iptables',
      "    IPVS_MODE: these are the rules of kube-proxy's ipvs mode: there is nothing to compare them with",
      '    recognized by what only that mode makes: rules match the ipsets KUBE-CLUSTER-IP, KUBE-IPVS-IPS, KUBE-LOAD-BALANCER, KUBE-LOOP-BACK and KUBE-NODE-PORT-TCP, and there are KUBE-LOAD-BALANCER, KUBE-NODE-PORT and KUBE-IPVS-FILTER',
      expect.stringMatching(/^ {4}to do: IPVS decides, and not these rules: ipvsadm -Ln /),
    ])
    expect(ended.stdout).not.toContain('pointsman apply')
  })

  test('takes a configuration of ipvs mode for saved rules, and no other (11-ipvs-mode)', async () => {
    const config = reportInput('22-config-as-kubeadm-has-it/ipvs.yaml')
    const options = ['--objects', reportInput('11-ipvs-mode/base.yaml'), '--config', config]
    const ended = await audit(['--rules', reportInput('11-ipvs-mode/rules.txt'), ...options])
    expect(linesOf(ended)[0]).toBe('1 finding: 1 ruleset of ipvs mode')
    expect((await audit(options)).stderr).toMatch(/mode "ipvs" is not supported/)
  })

  test('finds the name under which kube-proxy runs to be another than the Node’s (13-wrong-node-name)', async () => {
    const ended = await reported('13-wrong-node-name', ['base.yaml', 'service.yaml'], '--node', 'node-a')
    expect(ended).toMatchObject({ status: 1, stderr: '' })
    expect(linesOf(ended)[0]).toBe('1 finding: 1 ruleset of another node name')
    expect(ended.stdout).toContain(
      "they count no endpoint as local, and 1 endpoint is on node-a: kube-proxy runs under a name that is not the Node's (--hostname-override)",
    )
    expect(ended.stdout).toContain('set it right: a restart alone changes nothing')
    expect(ended.stdout).not.toContain('pointsman apply')
  })

  test('counts the repetitions of a jump, which kube-proxy leaves there (20-duplicate-jumps)', async () => {
    const ended = await reported('20-duplicate-jumps', ['base.yaml', 'dns.yaml'])
    expect(ended).toMatchObject({ status: 1, stderr: '' })
    const lines = linesOf(ended)
    expect(lines[0]).toBe('4 findings: 3 duplicate rules, 1 incomplete save')
    expect(lines.filter((line) => line.includes('DUPLICATE_RULE'))).toEqual([
      '    DUPLICATE_RULE: the rule is present more than once (4 times)',
      '    DUPLICATE_RULE: the rule is present more than once (3 times)',
      '    DUPLICATE_RULE: the rule is present more than once (5 times)',
    ])
    expect(ended.stdout).toContain(
      'the save is of xtables-save 1.8.2: the nft variant of 1.8.0 to 1.8.2 is known not to',
    )
    expect(ended.stdout).toContain('kube-proxy leaves it at every sync and restart; Pointsman')
    expect(ended.stdout).toContain('iptables-legacy-save')
    expect(ended.stdout).not.toContain('the proxy puts it right')
  })

  test('takes the rules of kube-proxy 1.20 for what they are (24-older-kube-proxy)', async () => {
    const golden = (file: string): string =>
      fileURLToPath(new URL(`../../fixtures/golden/kube-proxy-1.20/node-port/${file}`, import.meta.url))
    const options = ['--objects', golden('objects.json'), '--config', golden('config.json'), '--node', 'node-a']
    const ended = await audit(['--rules', golden('iptables-save.txt'), ...options])
    expect(ended).toMatchObject({ status: 0, stderr: '' })
    expect(linesOf(ended)[0]).toBe('the rules are as they should be')
    expect(ended.stdout).toContain('compared with those of layout classic (kube-proxy 1.20)')
    const asCurrent = await audit(['--rules', golden('iptables-save.txt'), '--layout', 'current', ...options])
    expect(asCurrent.status).toBe(1)
    expect(linesOf(asCurrent)[0]).toBe('1 finding: 1 ruleset of another release')
    expect(asCurrent.stdout).toContain('these are rules of kube-proxy 1.20 or older: ')
    expect(asCurrent.stdout).not.toMatch(/pointsman apply|no proxy writes/)
  })
})
