import { IptablesError, type Run } from 'node-iptables'
import { expect, test } from 'vitest'
import { IPVS_SETS, removeIpvsLeftovers } from './ipvs-leftovers.js'

/** A machine by what its commands answer; a command that is not listed is not installed. */
function machine(
  answers: Readonly<Record<string, { readonly exitCode?: number; readonly stdout?: string; readonly stderr?: string }>>,
) {
  const changes: string[] = []
  const run: Run = async ({ argv }) => {
    const command = argv.join(' ')
    const answer =
      answers[command] ?? (Object.keys(answers).some((each) => each.startsWith(`${argv[0] ?? ''} `)) ? {} : undefined)
    if (answer === undefined) throw new IptablesError('NOT_FOUND', { argv })
    if (/ (?:-C|-D|delete|destroy)\b/.test(command)) changes.push(command)
    const { exitCode = 0, stdout = '', stderr = '' } = answer
    return { argv, exitCode, signal: null, stdout, stderr }
  }
  return { run, changes }
}

const SETS = 'KUBE-CLUSTER-IP\nKUBE-6-LOOP-BACK\ncali40all-ipam-pools\nKUBE-SRC-ABCDEF\n'
const LEFT_BEHIND = {
  'ip -o link show dev kube-ipvs0': { stdout: '7: kube-ipvs0: <BROADCAST,NOARP>\n' },
  'ipvsadm -S -n': { stdout: '-A -t 10.96.0.1:443 -s rr\n' },
  'ipset list -n': { stdout: SETS },
}

test('virtual servers, the interface and the sets of the mode are removed, and no others', async () => {
  const { run, changes } = machine(LEFT_BEHIND)
  expect(await removeIpvsLeftovers({ run, virtualServers: 'all' })).toEqual({
    removed: ['virtual servers of IPVS', 'the interface kube-ipvs0', 'ipset KUBE-CLUSTER-IP', 'ipset KUBE-6-LOOP-BACK'],
    left: [],
  })
  expect(changes).toEqual([
    'ipvsadm -C',
    'ip link delete dev kube-ipvs0',
    'ipset destroy KUBE-CLUSTER-IP',
    'ipset destroy KUBE-6-LOOP-BACK',
  ])
})

test('a dry run says the same and changes nothing', async () => {
  const { run, changes } = machine(LEFT_BEHIND)
  expect((await removeIpvsLeftovers({ run, dryRun: true, virtualServers: 'all' })).removed).toHaveLength(4)
  expect(changes).toEqual([])
})

test('what cannot be removed is named: for lack of a tool, or because it is in use', async () => {
  const { 'ipvsadm -S -n': _, ...others } = LEFT_BEHIND
  const inUse = { exitCode: 1, stderr: 'ipset v7.17: Set cannot be destroyed: it is in use by a kernel component\n' }
  const { run } = machine({ ...others, 'ipset destroy KUBE-CLUSTER-IP': inUse })
  expect((await removeIpvsLeftovers({ run, virtualServers: 'all' })).left).toEqual([
    'virtual servers of IPVS, if there are any: ipvsadm is not installed (ipvsadm -C removes them)',
    'ipset KUBE-CLUSTER-IP: ipset v7.17: Set cannot be destroyed: it is in use by a kernel component',
  ])
})

test('where the mode never ran, virtual servers of others stay', async () => {
  const { run, changes } = machine({
    ...LEFT_BEHIND,
    'ip -o link show dev kube-ipvs0': { exitCode: 1 },
    'ipset list -n': { stdout: '' },
  })
  expect(await removeIpvsLeftovers({ run, virtualServers: 'all' })).toEqual({ removed: [], left: [] })
  expect(changes).toEqual([])
  expect(await removeIpvsLeftovers({ run: machine({}).run, virtualServers: 'all' })).toEqual({ removed: [], left: [] })
})

test('an agent removes virtual servers on addresses of the interface alone', async () => {
  const { run, changes } = machine({
    ...LEFT_BEHIND,
    'ipvsadm -S -n': {
      stdout: [
        '-A -t 10.96.0.1:443 -s rr',
        '-a -t 10.96.0.1:443 -r 192.0.2.1:6443 -m -w 1',
        '-A -u [fd00::a]:53 -s rr',
        '-A -t 192.0.2.10:80 -s wlc',
        '-A -f 7 -s rr',
        '',
      ].join('\n'),
    },
    'ip -o address show dev kube-ipvs0': {
      stdout:
        '7: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0\\ valid_lft forever\n' +
        '7: kube-ipvs0    inet6 fd00::a/128 scope global \\ valid_lft forever\n',
    },
    'ipset list -n': { stdout: '' },
  })
  expect(await removeIpvsLeftovers({ run, virtualServers: 'of-its-addresses' })).toEqual({
    removed: ['2 virtual servers of IPVS on addresses of kube-ipvs0', 'the interface kube-ipvs0'],
    left: [
      '2 virtual servers of IPVS on other addresses: of node ports or of another program (ipvsadm -Ln lists them)',
    ],
  })
  expect(changes).toEqual([
    'ipvsadm -D -t 10.96.0.1:443',
    'ipvsadm -D -u [fd00::a]:53',
    'ip link delete dev kube-ipvs0',
  ])
})

test('the names of sets are as kube-proxy cuts them: no set has more than 31 characters', () => {
  expect([...IPVS_SETS].filter((name) => name.length > 31)).toEqual([])
  expect([...IPVS_SETS].filter((name) => name.startsWith('KUBE-6-') && name.length === 31)).toEqual([
    'KUBE-6-LOAD-BALANCER-SOURCE-CID',
    'KUBE-6-NODE-PORT-LOCAL-SCTP-HAS',
  ])
})
