import type { Family } from '../detect-variant.js'
import type { RandomChoices } from './random-numbers.js'

export interface RandomRuleContext {
  readonly choices: RandomChoices
  readonly family: Family
  readonly table: string
  /** Chains that there may be. */
  readonly chains: Options
}

/**
 * The words of a rule, in one of the spellings that iptables takes. About one rule in eight has a flaw, and then one alone:
 * which of two would be named is nobody's business.
 */
export function randomRule(context: RandomRuleContext): string {
  const { choices } = context
  const flaw = { isOpen: choices.oneIn(8) }
  const random: Random = {
    ...context,
    of: (good, bad) => {
      if (bad === undefined || !flaw.isOpen || !choices.oneIn(3)) return choices.pick(good)
      flaw.isOpen = false
      return choices.pick(bad)
    },
    not: () => (choices.oneIn(5) ? '! ' : ''),
  }
  const sometimes = (times: number, make: (random: Random) => string): readonly string[] =>
    choices.oneIn(times) ? [make(random)] : []
  const protocol = choices.oneIn(2) ? protocolWithPorts(random) : { name: '', words: '' }
  return [
    ...sometimes(4, (from) => address(from, ['-s', '--source', '--src'])),
    ...sometimes(4, (from) => address(from, ['-d', '--destination', '--dst'])),
    ...sometimes(8, device),
    protocol.words,
    ...sometimes(2, match),
    ...sometimes(6, match),
    ...(choices.oneIn(10) ? [] : [target(random, protocol.name)]),
  ]
    .filter((words) => words !== '')
    .join(' ')
}

type Options = readonly [string, ...string[]]

interface Random extends RandomRuleContext {
  /** One of the good, or the rule's flaw. */
  readonly of: (good: Options, bad?: Options) => string
  readonly not: () => string
}

function address({ choices, family, of, not }: Random, names: Options): string {
  const value =
    family === 'IPv4'
      ? of(
          ['10.0.0.1', '10.0.0.1/32', '10.1.2.3/8', '10.0.0.1/255.255.0.0', '0.0.0.0/0', '0/0', '10/8', '10.0.0/24'],
          ['10.0.0.1/33', 'fd00::1', '10.0.0.256', '1.2.3.4.5', '10.0.0.1/255.255'],
        )
      : of(
          ['fd00::1', 'fd00:0::0:1/128', 'FD00::1:2/64', '::/0', '::ffff:1.2.3.4', '::1.2.3.4/127', 'fd00::1/ffff::'],
          ['10.0.0.1', 'fd00::1/129', 'fd00:::1'],
        )
  return `${value.endsWith('/0') ? '' : not()}${choices.pick(names)} ${value}`
}

const device = ({ choices, of, not }: Random): string =>
  `${not()}${choices.pick(['-i', '-o', '--in-interface', '--out-interface'])} ${of(['eth0', 'veth+', 'lo'], ['an-interface-with-a-name'])}`

interface RandomProtocol {
  readonly name: string
  readonly words: string
}

function protocolWithPorts({ choices, of, not }: Random): RandomProtocol {
  const name = choices.pick(['tcp', 'udp', 'sctp'])
  const spelling = choices.pick([name, name, { tcp: '6', udp: '17', sctp: '132' }[name], name.toUpperCase()])
  const load = choices.pick(['', ` -m ${name}`, ` -m ${name}`])
  const port = choices.oneIn(6)
    ? of(
        ['80:90', ':90', '1024:', '053', '0:65535'],
        ['-1', '1:2:3', ...(name === 'udp' ? (['0x50'] as const) : (['65536', '90:80'] as const))],
      )
    : '80'
  const option = choices.pick(['--dport', '--sport', '--destination-port', '--source-port'])
  const ports = choices.oneIn(4) ? '' : ` ${port.includes(':') ? '' : not()}${option} ${port}`
  const flags = of(['--syn', '! --syn', '--tcp-flags ALL NONE', '--tcp-flags SYN,FIN,ACK SYN'], ['--tcp-flags SYN'])
  const tcp = name === 'tcp' && load !== '' && choices.oneIn(6) ? ` ${flags}` : ''
  const [isNegated, isLoaded] = [choices.oneIn(12), load !== '']
  const words = `${choices.pick(['-p', '-p', '--protocol'])} ${spelling}`
  if (isNegated) return { name: '', words: `! ${words}${isLoaded ? `${load}${ports}` : ''}` }
  return { name, words: `${words}${load}${ports}${tcp}` }
}

function match({ choices, family, of, not }: Random): string {
  const mask = family === 'IPv4' ? '255.255.255.0' : 'ffff:ffff::'
  const seconds = choices.pick([' --seconds 10800', ' --seconds 10800 --reap', ' --seconds 60 --reap', ''])
  return choices.pick<() => string>([
    () =>
      `-m comment --comment ${of(['a', '"a b"', 'a/b:c', '"it\'s"', String.raw`"say \"x\" \\ y"`, '""', '"!"', '-x', 'ä', "'a'", `"${'x'.repeat(257)}"`])}`,
    () =>
      `-m mark ${not()}--mark ${of(['1', '0x4000/0x4000', '0x10/020', '4294967295', '0x1/0'], ['x', '4294967296'])}`,
    () =>
      `-m conntrack ${not()}--ctstate ${of(['NEW', 'established,RELATED', 'DNAT,SNAT', 'INVALID,UNTRACKED'], ['OLD', 'NEW,'])}`,
    () =>
      `-m statistic --mode random ${not()}--probability ${of(['0.5', '0.33333333349', '.1', '1', '0', '1e-3', '0.2000000002', '0.25000000000'], ['1.5', '-0.5'])}`,
    () => `-m statistic --mode nth ${not()}--every ${of(['3', '0x4'], ['0', 'x'])} --packet ${of(['0', '2'], ['9'])}`,
    () =>
      `-m recent ${not()}${choices.pick(['--set', '--rcheck', '--update', '--remove'])}${of(
        ['', ' --name KUBE-A', ' --rdest', ' --rsource --name B', ` --mask ${mask}`],
        [' --reap', ' --mask x', ' --set --remove'],
      )}`,
    () =>
      `-m recent ${not()}${choices.pick(['--rcheck', '--update'])}${seconds}${choices.oneIn(3) ? ' --hitcount 4' : ''}${choices.oneIn(4) ? ' --rttl' : ''} --name C`,
    () =>
      `-m addrtype ${not()}${choices.pick(['--dst-type', '--src-type'])} ${of(['LOCAL', 'local', 'UNICAST,LOCAL', 'BROADCAST'], ['NOWHERE'])}${choices.oneIn(5) ? choices.pick([' --limit-iface-in', ' --limit-iface-out']) : ''}`,
    () => `-m nfacct --nfacct-name ${choices.oneIn(6) ? 'unknown' : 'known'}`,
    () =>
      `-m physdev ${not()}${choices.pick(['--physdev-is-in', '--physdev-in eth1', '--physdev-is-out', '--physdev-out veth+', '--physdev-is-bridged'])}`,
    () => `-m limit --limit ${choices.pick(['5/min', '10/sec'])}`,
    () => of(['-m comment --comment x'], ['-m nosuch', '-m recent', '-m nfacct', '-m mark', '--nosuch', 'word']),
  ])()
}

function target({ choices, family, table, chains, of }: Random, protocol: string): string {
  const flags = choices.pick(['', '', ' --random', ' --persistent'])
  const withPort = family === 'IPv4' ? '10.0.0.9:80' : '[fd00::9]:80'
  const place =
    family === 'IPv4'
      ? of(['10.0.0.9', '10.0.0.9-10.0.0.12'], protocol === '' ? [withPort, 'fd00::9'] : ['10.0.0.9:99999', 'fd00::9'])
      : of(['fd00::9', 'FD00::0:9'], protocol === '' ? [withPort, '10.0.0.9'] : ['[fd00::9]:99999', '10.0.0.9'])
  const to = protocol !== '' && choices.oneIn(2) ? withPort : place
  const kinds: readonly [() => string, ...(() => string)[]] = [
    () => `-j ${choices.pick(chains)}`,
    () => `-j ${choices.pick(chains)}`,
    () => `${choices.pick(['-g', '--goto'])} ${choices.pick(chains)}`,
    () =>
      `${choices.pick(['-j', '--jump'])} ${of(['ACCEPT', 'RETURN', table === 'nat' ? 'RETURN' : 'DROP'], ['DROP'])}`,
    () =>
      `-j MARK ${of(['--set-xmark 0x4000/0x4000', '--set-mark 1', '--set-mark 0x1/0x3', '--or-mark 0x8000', '--and-mark 0xff', '--xor-mark 3', '--set-xmark 7'], ['', '--set-mark x', '--or-mark 1/2'])}`,
    () => `-j REJECT${of(rejects(family, protocol), [' --reject-with nothing'])}`,
  ]
  const ofNat: readonly [() => string, ...(() => string)[]] = [
    () => `-j MASQUERADE${choices.pick(['', ' --random-fully', ' --random'])}`,
    () => `-j MASQUERADE${of([''], [protocol === '' ? ' --to-ports 1024-2048' : ' --to-ports x'])}`,
    () => `-j MASQUERADE${protocol === '' ? '' : ' --to-ports 1024-2048'}`,
    () => `-j DNAT --to-destination ${to}${flags}`,
    // What is said of a range is kept word by word, in the order that it is written in.
    () => `-j SNAT --to-source ${to}${flags}${choices.oneIn(4) && !to.includes('-') ? ' --random-fully' : ''}`,
  ]
  return choices.oneIn(table === 'nat' ? 2 : 20) ? choices.pick(ofNat)() : choices.pick(kinds)()
}

const rejects = (family: Family, protocol: string): Options => [
  '',
  '',
  ' --reject-with port-unreach',
  protocol === 'tcp' ? ' --reject-with tcp-reset' : '',
  family === 'IPv4' ? ' --reject-with icmp-host-prohibited' : ' --reject-with adm-prohibited',
]
