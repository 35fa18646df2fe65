import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { reportInput } from '../support/shop.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'

/** Packets through rules as people report them: fixtures/reports, and others of their kinds. */

const RULES = (folder: string): readonly string[] => ['--rules', reportInput(`${folder}/rules.txt`)]
const NODE = ['--node-address', '192.0.2.20']

interface Answer extends Ended {
  /** All above the way. */
  readonly conclusion: readonly string[]
}

async function trace(packet: string, args: readonly string[], input?: string): Promise<Answer> {
  const ended = await runPointsman(['trace', packet, ...args], input === undefined ? {} : { input })
  return { ...ended, conclusion: (ended.stdout.split('\n\n')[0] ?? '').split('\n').slice(2) }
}

async function traceJson(packet: string, args: readonly string[]) {
  const { stdout, status } = await trace(packet, [...args, '-o', 'json'])
  const document: unknown = JSON.parse(stdout)
  expect(schemaProblems(document, JSON_SCHEMAS.Trace)).toEqual([])
  return { status, document }
}

describe('-m state (01-state-match)', () => {
  const packet = 'tcp 10.42.0.9 -> 10.43.0.1:443'

  test('is decided by the packet: nothing is assumed', async () => {
    const { status, conclusion } = await trace(packet, [...RULES('01-state-match'), ...NODE])
    expect(status).toBe(0)
    expect(conclusion).toEqual([
      '  reaches 1 endpoint',
      '    ODDS  ENDPOINT         SEES AS SENDER',
      '  always  192.0.2.20:6443  10.42.0.9',
    ])
  })

  test('without the rule that lets it in, it is rejected', async () => {
    const lines = readFileSync(reportInput('01-state-match/rules.txt'), 'utf8').split('\n')
    const input = lines.filter((line) => !line.includes('--dport 6443')).join('\n')
    const { status, conclusion } = await trace(packet, ['--rules', '-', ...NODE], input)
    expect(status).toBe(1)
    expect(conclusion).toEqual(['  is rejected with icmp-host-prohibited by rule 3 of filter INPUT'])
  })
})

describe('-m multiport (02-multiport-hostport)', () => {
  test('leads to the pod that has the host port', async () => {
    const { status, conclusion, stdout } = await trace('tcp outside -> 192.0.2.20:443', [
      ...RULES('02-multiport-hostport'),
      ...NODE,
    ])
    expect(status).toBe(0)
    expect(conclusion.slice(2)).toEqual(['  always  10.244.2.17:443  198.18.0.1'])
    expect(stdout).toMatch(/CNI-HOSTPORT-DNAT 1 +-p tcp -m multiport --dports 80,443 +-> CNI-DN-/)
  })

  test('another port is not for a Service', async () => {
    const { status, conclusion } = await trace('tcp outside -> 192.0.2.20:8443', [
      ...RULES('02-multiport-hostport'),
      ...NODE,
    ])
    expect(status).toBe(1)
    expect(conclusion).toEqual(['  is not for a Service: it goes on to 192.0.2.20:8443 unchanged'])
  })
})

describe('MASQUERADE (05-masquerade-sender)', () => {
  const objects = ['base', 'service'].flatMap((name) => ['--objects', reportInput(`05-masquerade-sender/${name}.yaml`)])
  const args = [...objects, '--cluster-cidr', '10.244.0.0/16']
  const packet = 'tcp outside -> 192.0.2.20:32204'

  test('gives an address of the output interface, which is not known', async () => {
    const { status, stdout, conclusion } = await trace(packet, args)
    expect(status).toBe(0)
    expect(conclusion[2]).toMatch(/10\.244\.1\.56:80 .* an address of the node's \(masqueraded\)$/)
    expect(stdout).not.toContain('192.0.2.20 (masqueraded)')
    const { document } = await traceJson(packet, args)
    expect(document).toMatchObject({ endpoints: [{ source: { rewritten: 'MASQUERADE' } }], certainty: 'known' })
    expect(JSON.stringify(document)).not.toContain('"address":"192.0.2.20"}')
  })

  test('is known where the interface and its address are', async () => {
    const known = ['--out-interface', 'cni0', '--interface-address', 'cni0=10.244.1.1']
    const { conclusion } = await trace(packet, [...args, ...known])
    expect(conclusion[2]).toMatch(/10\.244\.1\.56:80 .* 10\.244\.1\.1 \(masqueraded\)$/)
  })
})

describe('the ipvs mode of kube-proxy (11-ipvs-mode)', () => {
  const args = [...RULES('11-ipvs-mode'), ...NODE]
  const packet = 'tcp 10.244.3.7 -> 10.96.0.1:443'

  test('IPVS decides, and rules before it may drop the packet', async () => {
    const { status, stdout, conclusion } = await trace(packet, [...args, '--in-interface', 'cali12345'])
    expect(status).toBe(4)
    expect(stdout).not.toMatch(/not for a Service/)
    expect(conclusion.slice(1)).toEqual([
      expect.stringMatching(/^ {4}if 10\.96\.0\.1 is .* kube-ipvs0: is dropped .* by rule 2 of filter cali-wl-to-host/),
      '    else: goes on to 10.96.0.1:443 unchanged',
      expect.stringContaining('IPVS decides'),
      expect.stringContaining('--ipset'),
    ])
  })

  test('IPVS decides about what gets there', async () => {
    const { status, conclusion } = await trace(packet, [...args, '--in-interface', 'eth0'])
    expect(status).toBe(4)
    expect(conclusion.join('\n')).toMatch(
      /if the set KUBE-CLUSTER-IP has 10\.96\.0\.1 tcp:443 \(dst,dst\): depends on IPVS: IPVS decides about 10\.96\.0\.1:443/,
    )
  })
})

describe('NodeLocal DNS (14-nodelocal-dns)', () => {
  const args = [...RULES('14-nodelocal-dns'), ...NODE]

  test('takes its packets out of conntrack, so that the nat table is not consulted', async () => {
    const { status, conclusion } = await trace('udp 10.244.1.9 -> 10.96.0.10:53', [
      ...args,
      '--node-address',
      '10.96.0.10',
    ])
    expect(status).toBe(1)
    expect(conclusion).toEqual([
      '  is not for a Service: rule 1 of raw PREROUTING, "NodeLocal DNS Cache: skip conntrack", takes the packet out of ' +
        'conntrack, so that the nat table is not consulted: rule 3 of nat KUBE-SERVICES, "kube-system/kube-dns:dns cluster IP", would ' +
        'match otherwise; it goes on to 10.96.0.10:53 unchanged, where the node itself answers',
    ])
  })

  test('a ping to a cluster IP is answered by nobody', async () => {
    const { status, conclusion } = await trace('icmp 10.244.1.9 -> 10.96.0.1', args)
    expect(status).toBe(1)
    expect(conclusion).toEqual([
      '  is not for a Service: it goes on to 10.96.0.1 unchanged; rules for this address are of tcp 443: no rule of a ' +
        'Service is for icmp, so that nothing answers a ping to a cluster IP',
    ])
    const { document } = await traceJson('icmp 10.244.1.9 -> 10.96.0.1', args)
    expect(document).toMatchObject({ packet: { protocol: 'ICMP', destinationPort: 0 }, fate: 'no-service' })
  })
})

test('DNAT to a port alone keeps the address (18-dnat-port-only)', async () => {
  const { status, conclusion } = await trace('tcp outside -> 192.0.2.20:8081', [...RULES('18-dnat-port-only'), ...NODE])
  expect(status).toBe(0)
  expect(conclusion[2]).toBe('  always  192.0.2.20:8080  198.18.0.1')
})

/** What the rules of other programs come to: the conclusion without its tables of endpoints. */
const OTHERS: readonly (readonly [folder: string, packet: string, options: string, status: number, verdict: string])[] =
  [
    [
      '25-calico-policy',
      'tcp 192.168.44.99 -> 10.96.40.7:80',
      '--in-interface eth0 --out-interface cali7f3a21bc0de',
      4,
      `  depends on 3 things that neither the rules nor the input say:
    if the set cali40s:Kc3_vDeMdGvqCXgDqe1QnC1 has 192.168.44.99 (src):
      if the set cali40masq-ipam-pools has 192.168.44.99 (src):
        if the set cali40all-ipam-pools has 192.168.44.71 (dst): reaches 192.168.44.71:8080
        else: reaches 192.168.44.71:8080, masqueraded
      else: reaches 192.168.44.71:8080
    else: is dropped without an answer by rule 7 of filter cali-tw-cali7f3a21bc0de, "cali:Kk1Ll2Mm3Nn4Oo5P, Drop if no policies passed packet"`,
    ],
    [
      '25-calico-policy',
      'tcp 192.168.44.99 -> 10.96.40.7:80',
      '--in-interface eth0 --out-interface cali7f3a21bc0de --ipset IPSET',
      0,
      '  reaches 1 endpoint',
    ],
    [
      '25-calico-policy',
      'tcp 192.168.44.98 -> 10.96.40.7:80',
      '--in-interface eth0 --out-interface cali7f3a21bc0de --ipset IPSET',
      1,
      '  is dropped without an answer by rule 7 of filter cali-tw-cali7f3a21bc0de, "cali:Kk1Ll2Mm3Nn4Oo5P, Drop if no policies passed packet"',
    ],
    [
      '26-istio-redirect',
      'tcp node -> 10.96.40.7:80',
      '--node-address 10.244.1.9',
      4,
      `  depends on 2 things that neither the rules nor the input say:
    if the sender's uid is 1337: goes on to 10.96.40.7:80 unchanged
    else if the sender's gid is 1337: goes on to 10.96.40.7:80 unchanged
    else: reaches 127.0.0.1:15001`,
    ],
    [
      '26-istio-redirect',
      'tcp node -> 10.96.40.7:80',
      '--node-address 10.244.1.9 --uid 0 --gid 0',
      0,
      '  reaches 1 endpoint',
    ],
    [
      '26-istio-redirect',
      'tcp node -> 10.96.40.7:80',
      '--node-address 10.244.1.9 --uid 1337',
      1,
      '  is not for a Service: it goes on to 10.96.40.7:80 unchanged',
    ],
    ['26-istio-redirect', 'tcp outside -> 10.244.1.9:8080', '--node-address 10.244.1.9', 0, '  reaches 1 endpoint'],
    ['27-docker-and-firewalld', 'tcp outside -> 192.0.2.20:8080', '--in-interface eth0', 0, '  reaches 1 endpoint'],
    [
      '27-docker-and-firewalld',
      'tcp outside -> 192.0.2.20:8080',
      '',
      4,
      `  depends on one thing that neither the rules nor the input say:
    if it arrives by docker0: goes on to 192.0.2.20:8080 unchanged
    else: reaches 172.17.0.2:80`,
    ],
    [
      '27-docker-and-firewalld',
      'tcp outside -> 192.0.2.20:6443',
      '--in-interface eth0',
      1,
      `  is not for a Service: it goes on to 192.0.2.20:6443 unchanged
  assumed: the packet is taken to be the first that a limit counts, and so within it`,
    ],
    [
      '27-docker-and-firewalld',
      'tcp outside -> 192.0.2.20:9000',
      '',
      4,
      `  depends on one thing that neither the rules nor the input say:
    if it arrives by docker0: goes on to 192.0.2.20:9000 unchanged
    else: is rejected with icmp-host-prohibited by rule 6 of filter INPUT`,
    ],
    [
      '28-ufw-node-port',
      'tcp 198.51.100.9 -> 192.0.2.20:30080',
      '',
      1,
      '  is dropped without an answer by the policy of filter FORWARD',
    ],
    [
      '28-ufw-node-port',
      'tcp 198.51.100.9 -> 192.0.2.20:22',
      '',
      1,
      `  is not for a Service: it goes on to 192.0.2.20:22 unchanged
  assumed: 198.51.100.9 is taken to be a new client: on no list of \`-m recent\` (--affinity says otherwise)`,
    ],
    [
      '28-ufw-node-port',
      'icmp 198.51.100.9 -> 192.0.2.20',
      '',
      1,
      '  is not for a Service: it goes on to 192.0.2.20 unchanged',
    ],
    [
      '28-ufw-node-port',
      'tcp 198.51.100.9 -> 192.0.2.20:8080',
      '',
      1,
      '  is dropped without an answer by the policy of filter INPUT',
    ],
    [
      '29-kube-router-policy',
      'tcp 10.244.2.9 -> 10.96.40.7:80',
      '',
      4,
      `  depends on 3 things that neither the rules nor the input say:
    if the set KUBE-SRC-J3Y7EHYWAOYSEKQ7 has 10.244.2.9 (src):
      if the set KUBE-DST-YOWSQ6XXAZPWEKVF has 10.244.1.7 (dst): reaches 10.244.1.7:80
      else: is rejected with icmp-port-unreachable by REJECT
    else if the set KUBE-SRC-QG5RUPR2TUGGJY4P has 10.244.2.9 (src):
      if the set KUBE-DST-YOWSQ6XXAZPWEKVF has 10.244.1.7 (dst): reaches 10.244.1.7:80
      else: is rejected with icmp-port-unreachable by REJECT
    else: is rejected with icmp-port-unreachable by REJECT`.replaceAll(
        'by REJECT',
        'by rule 6 of filter KUBE-POD-FW-AXT4QZW5NKCZHJZX, "rule to REJECT traffic destined for POD name:web-0 namespace: shop"',
      ),
    ],
    [
      '30-cilium-tproxy',
      'udp 10.0.1.7 -> 10.96.0.10:53',
      '--in-interface lxc1234',
      4,
      `  depends on 2 things that neither the rules nor the input say:
    if a process listens on 127.0.0.1:37178 for TPROXY: depends on the process that listens on 127.0.0.1:37178 (TPROXY)
    else: is dropped without an answer by rule 4 of mangle CILIUM_PRE_mangle`,
    ],
    [
      '30-cilium-tproxy',
      'tcp 10.0.1.7 -> 203.0.113.9:443',
      '--in-interface lxc1234',
      1,
      `  is not for a Service: it goes on to 203.0.113.9:443 unchanged
  assumed: no rules of kube-proxy are here, and Cilium has the chains CILIUM_OUTPUT_raw, CILIUM_PRE_raw, CILIUM_PRE_mangle, CILIUM_POST_nat, CILIUM_FORWARD and 1 more: it can serve Services by eBPF in place of kube-proxy (cilium-dbg service list); it is taken not to serve 203.0.113.9`,
    ],
  ]

describe('rules of other programs', () => {
  test('ipsets that are no listing are refused, though no rule asks for one', async () => {
    const args = [...RULES('28-ufw-node-port'), ...NODE, '--ipset', reportInput('28-ufw-node-port/rules.txt')]
    expect(await trace('tcp outside -> 192.0.2.20:80', args)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /^error: line 1 of --ipset is not output of `ipset save` or `ipset list`: "\*filter"\n$/,
      ),
    })
  })

  test.each(OTHERS)('%s: %s %s', async (folder, packet, options, status, verdict) => {
    const given = options
      .split(' ')
      .flatMap((word) => (word === '' ? [] : [word.replace('IPSET', reportInput(`${folder}/ipset.txt`))]))
    const node = given.includes('--node-address') ? [] : NODE
    const answer = await trace(packet, [...RULES(folder), ...node, ...given])
    expect({ status: answer.status, verdict: answer.conclusion.slice(0, verdict.split('\n').length) }).toEqual({
      status,
      verdict: verdict.split('\n'),
    })
    const { document } = await traceJson(packet, [...RULES(folder), ...node, ...given])
    const {
      certainty,
      fate,
      dependsOn,
      cases = [],
    } = document as Record<'certainty' | 'fate', string> & Record<'dependsOn' | 'cases', readonly unknown[] | undefined>
    expect(fate === 'depends').toBe(status === 4)
    expect(certainty === 'depends').toBe(dependsOn?.length !== 0)
    expect(cases.length === 0).toBe(dependsOn?.length === 0)
  })
})

describe('rules of kube-proxy 1.20', () => {
  const rules = (scenario: string): readonly string[] => [
    '--rules',
    fileURLToPath(new URL(`../../fixtures/golden/kube-proxy-1.20/${scenario}/iptables-save.txt`, import.meta.url)),
  ]

  test.each([
    [
      'tcp 203.0.113.200 -> 198.51.100.20:80',
      'load-balancer-source-ranges',
      /^ {2}is refused by the service port \(none of its source ranges has the source\), by rule \d+ of nat KUBE-FW-\w+, ".*", marked for dropping, and dropped by nothing on its way: it goes on to 198\.51\.100\.20:80 unchanged$/,
    ],
    [
      'tcp 198.18.0.1 -> 192.168.55.10:30901',
      'external-traffic-policy-local',
      /^ {2}is refused by the service port \(no local endpoints\), by rule \d+ of nat KUBE-XLB-\w+, "default\/nolocal:http has no local endpoints", marked for dropping, and dropped by nothing on its way: /,
    ],
  ])('%s, which is marked for dropping and not dropped, is said to be refused', async (packet, scenario, line) => {
    const { status, conclusion } = await trace(packet, [...rules(scenario), '--node-address', '192.168.55.10'])
    expect(status).toBe(1)
    expect(conclusion[0]).toMatch(line)
  })
})
