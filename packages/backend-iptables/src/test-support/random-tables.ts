import fc from 'fast-check'

/** Rules of every kind that a trace knows, in every table, and a UDP packet for them. */
export interface RandomTables {
  /** For iptables-restore. Everything hangs on rules for UDP, so that answers of ICMP are left alone. */
  readonly text: string
  readonly packet: RandomPacket
}

export interface RandomPacket {
  /** The node sends it; else it arrives from a neighbour. */
  readonly own: boolean
  readonly destination: string
  readonly port: number
}

export interface RandomPlaces {
  readonly nodeAddresses: readonly string[]
  readonly neighbour: string
  /** Addresses beyond the node: none is a neighbour's. */
  readonly elsewhere: readonly string[]
  readonly networks: readonly string[]
  readonly interfaces: readonly string[]
  /** `10.0.0.1-10.0.0.9` */
  readonly ranges: readonly string[]
  /** Networks for NETMAP. */
  readonly maps: readonly string[]
  /** Of the neighbour, and one that nobody has. */
  readonly macs: readonly string[]
}

/** The sets that rules ask for: what is in them is the test's business. */
export const RANDOM_SETS = ['hosts', 'nets', 'services', 'ports'] as const

/** `lists` are names for `-m recent`, which no other case has. */
export function randomTablesArbitrary(
  places: RandomPlaces,
  lists: () => readonly string[],
): fc.Arbitrary<RandomTables> {
  return fc.record({
    text: fc
      .tuple(...TABLES.map((table) => tableArbitrary(table, places)))
      .map((tables) => named(tables.join(''), lists())),
    packet: fc.record({
      own: fc.boolean(),
      destination: fc.constantFrom(...places.nodeAddresses, ...places.elsewhere),
      port: fc.constantFrom(...PORTS),
    }),
  })
}

const PORTS = [53, 80, 8080]

interface Table {
  readonly name: string
  readonly hooks: readonly string[]
  /** The targets of the table's own, by hook. */
  readonly targets: (hook: string, places: RandomPlaces) => readonly string[]
}

const ENDING = ['ACCEPT', 'RETURN', 'DROP']

/** Targets that do something to the side, to marks and to sets. */
const ASIDE = [
  'LOG',
  'NFLOG --nflog-group 1',
  'CONNMARK --set-xmark 0x1/0x1',
  'CONNMARK --set-xmark 0x4000/0x0',
  'CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
  'CONNMARK --restore-mark --nfmask 0x1 --ctmask 0x4001',
  'SET --add-set hosts src',
  'SET --add-set services dst,dst',
  'SET --del-set hosts dst',
]

/** What a program would decide: none is there. */
const HANDED_OVER = ['NFQUEUE --queue-num 7', 'NFQUEUE --queue-num 8 --queue-bypass']

const TABLES: readonly Table[] = [
  { name: 'raw', hooks: ['PREROUTING', 'OUTPUT'], targets: () => [...ENDING, 'CT --notrack', 'TRACE', ...ASIDE] },
  {
    name: 'mangle',
    hooks: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
    targets: (hook) => [
      ...ENDING,
      ...ASIDE,
      ...HANDED_OVER,
      ...(hook === 'PREROUTING' ? ['TPROXY --on-port 9 --tproxy-mark 0x1/0x1'] : []),
    ],
  },
  {
    name: 'nat',
    hooks: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
    targets: (hook, places) => ['ACCEPT', 'RETURN', ...translations(hook, places)],
  },
  {
    name: 'filter',
    hooks: ['INPUT', 'FORWARD', 'OUTPUT'],
    targets: () => [...ENDING, 'REJECT', ...ASIDE, ...HANDED_OVER],
  },
]

function translations(hook: string, { nodeAddresses, elsewhere, maps }: RandomPlaces): readonly string[] {
  const to = (address: string, port = ''): string =>
    address.includes(':') ? `[${address}]${port}` : `${address}${port}`
  const mapped = maps.map((network) => `NETMAP --to ${network}`)
  if (hook === 'PREROUTING' || hook === 'OUTPUT') {
    return [
      ...[...nodeAddresses, ...elsewhere].flatMap((address) => [
        `DNAT --to-destination ${to(address, ':8080')}`,
        `DNAT --to-destination ${address}`,
        `DNAT --to-destination ${to(address, ':80')} --random`,
        // Of a range, the kernel takes a port by chance, unless the packet's own is in it.
        `DNAT --to-destination ${to(address, ':1-9000')}`,
      ]),
      'DNAT --to-destination :8080',
      'REDIRECT --to-ports 8080',
      'REDIRECT',
      ...mapped,
    ]
  }
  const [source = ''] = elsewhere
  return [`SNAT --to-source ${source}`, ...mapped, ...(hook === 'POSTROUTING' ? ['MASQUERADE'] : [])]
}

/** Per hook a chain of random rules, and two more that it may jump to or go to. */
function tableArbitrary(table: Table, places: RandomPlaces): fc.Arbitrary<string> {
  const ofHook = (hook: string): fc.Arbitrary<readonly string[]> =>
    fc
      .tuple(
        rulesArbitrary([`${hook}-1`, `${hook}-2`], { hook, targets: table.targets(hook, places), places }),
        rulesArbitrary([`${hook}-2`], { hook, targets: table.targets(hook, places), places }),
        rulesArbitrary([], { hook, targets: table.targets(hook, places), places }),
      )
      .map((chains) => chains.flatMap((rules, index) => rules.map((rule) => `-A ${hook}-${index} ${rule}`.trimEnd())))
  return fc.tuple(...table.hooks.map(ofHook)).map((hooks) =>
    [
      `*${table.name}`,
      ...table.hooks.map((hook) => `:${hook} ACCEPT [0:0]`),
      ...table.hooks.flatMap((hook) => [0, 1, 2].map((index) => `:${hook}-${index} - [0:0]`)),
      ...table.hooks.map((hook) => `-A ${hook} -p udp -j ${hook}-0`),
      // Without a rule that asks it, nothing is tracked, and nat is not asked.
      ...(table.name === 'filter' ? ['-A INPUT -p esp -m conntrack --ctstate NEW -j ACCEPT'] : []),
      ...hooks.flat(),
      'COMMIT\n',
    ].join('\n'),
  )
}

function rulesArbitrary(
  chains: readonly string[],
  {
    hook,
    targets,
    places,
  }: { readonly hook: string; readonly targets: readonly string[]; readonly places: RandomPlaces },
): fc.Arbitrary<readonly string[]> {
  const target = fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...MARKS) },
    { weight: 3, arbitrary: oneOfKinds(targets.map((text) => `-j ${text}`)) },
    ...(chains.length === 0
      ? []
      : [{ weight: 4, arbitrary: fc.constantFrom(...chains.flatMap((chain) => [`-j ${chain}`, `-g ${chain}`])) }]),
  )
  const rule = fc
    .tuple(generalArbitrary(places), matchesArbitrary(hook, places), target)
    .map(([general, matches, then]) => [general, '-p udp', ...matches, then].filter((part) => part !== '').join(' '))
  return fc.array(rule, { maxLength: 4 })
}

const MARKS = ['', '-j MARK --set-xmark 0x1/0x1', '-j MARK --set-xmark 0x4000/0x4000', '-j MARK --set-xmark 0x1/0x0']

function generalArbitrary({ networks, interfaces }: RandomPlaces): fc.Arbitrary<string> {
  const condition = (option: string, values: readonly string[]): fc.Arbitrary<string> =>
    fc.oneof(
      { weight: 4, arbitrary: fc.constant('') },
      {
        weight: 1,
        arbitrary: fc.constantFrom(...values.flatMap((value) => [`${option} ${value}`, `! ${option} ${value}`])),
      },
    )
  return fc
    .tuple(
      condition('-s', networks),
      condition('-d', networks),
      condition('-i', interfaces),
      condition('-o', interfaces),
    )
    .map((parts) => parts.filter((part) => part !== '').join(' '))
}

/** Every kind is equally likely, though some have more forms: `-m NAME`, `-j NAME`. */
function oneOfKinds(texts: readonly string[]): fc.Arbitrary<string> {
  const kinds = new Map<string, string[]>()
  for (const text of texts) {
    const [, kind = ''] = text.split(' ')
    kinds.set(kind, [...(kinds.get(kind) ?? []), text])
  }
  return fc.oneof(...[...kinds.values()].map((forms) => fc.constantFrom(...forms)))
}

const matchArbitrary = (
  hook: string,
  { networks, ranges, elsewhere, nodeAddresses, macs }: RandomPlaces,
): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.boolean(),
      oneOfKinds([
        '-m udp NOT--dport 53',
        '-m udp NOT--dport 80:8080',
        '-m udp NOT--sport 1024:65535',
        '-m mark NOT--mark 0x1/0x1',
        '-m mark NOT--mark 0x4000',
        '-m mark NOT--mark 0x0/0x4001',
        '-m connmark NOT--mark 0x1/0x1',
        '-m connmark NOT--mark 0x4000/0x4000',
        ...['NEW', 'RELATED,ESTABLISHED', 'INVALID', 'UNTRACKED', 'DNAT', 'SNAT', 'NEW,DNAT'].flatMap((states) => [
          `-m conntrack NOT--ctstate ${states}`,
          ...(states.includes('NAT') ? [] : [`-m state NOT--state ${states}`]),
        ]),
        ...[...networks, ...elsewhere, ...nodeAddresses].flatMap((network) =>
          ['--ctorigsrc', '--ctorigdst', '--ctreplsrc', '--ctrepldst'].map(
            (field) => `-m conntrack NOT${field} ${network}`,
          ),
        ),
        '-m conntrack --ctstate NEW,UNTRACKED NOT--ctorigdstport 53',
        '-m conntrack NOT--ctorigdstport 50:80',
        '-m conntrack NOT--ctreplsrcport 8080',
        '-m conntrack NOT--ctproto 17',
        ...['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED', 'CONFIRMED,ASSURED'].map(
          (statuses) => `-m conntrack NOT--ctstatus ${statuses}`,
        ),
        '-m conntrack --ctdir ORIGINAL',
        '-m conntrack --ctdir REPLY',
        '-m addrtype NOT--dst-type LOCAL',
        '-m addrtype NOT--src-type LOCAL',
        '-m addrtype NOT--dst-type UNICAST',
        '-m statistic --mode random NOT--probability 1',
        '-m statistic --mode random NOT--probability 0',
        '-m recent NOT--set --name LIST1 --rsource',
        '-m recent NOT--set --name LIST2 --rdest',
        '-m recent NOT--rcheck --name LIST1 --rsource',
        '-m recent NOT--rcheck --seconds 60 --name LIST2 --rsource',
        '-m recent NOT--rcheck --seconds 60 --hitcount 2 --name LIST1 --rsource',
        '-m recent NOT--update --name LIST2 --rdest',
        '-m recent NOT--update --seconds 60 --hitcount 2 --name LIST2 --rdest',
        '-m recent NOT--remove --name LIST1 --rsource',
        '-m comment --comment "any packet"',
        '-m multiport NOT--dports 53,8080',
        '-m multiport NOT--dports 54:79,80',
        '-m multiport NOT--sports 1:1023,80',
        '-m multiport NOT--ports 53,1024:65535',
        ...ranges.flatMap((range) => [`-m iprange NOT--src-range ${range}`, `-m iprange NOT--dst-range ${range}`]),
        '-m pkttype NOT--pkt-type unicast',
        '-m pkttype NOT--pkt-type multicast',
        '-m limit --limit 100/sec --limit-burst 100',
        '-m hashlimit NOT--hashlimit-upto 100/sec --hashlimit-burst 100 --hashlimit-mode srcip --hashlimit-name LIST1',
        '-m connlimit --connlimit-upto 5 --connlimit-mask 32 --connlimit-saddr',
        '-m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-daddr',
        '-m set NOT--match-set hosts src',
        '-m set NOT--match-set hosts dst',
        '-m set NOT--match-set nets src',
        '-m set NOT--match-set nets dst',
        '-m set NOT--match-set services dst,dst',
        '-m set NOT--match-set services dst',
        '-m set NOT--match-set ports dst',
        '-m string --algo bm NOT--string x',
        '-m string --algo bm NOT--string y',
        '-m length NOT--length 0:100',
        '-m length NOT--length 1000:2000',
        '-m u32 NOT--u32 0x0=0x0',
        ...(['PREROUTING', 'INPUT', 'FORWARD'].includes(hook)
          ? macs.map((mac) => `-m mac NOT--mac-source ${mac}`)
          : []),
        ...(['PREROUTING', 'INPUT', 'FORWARD'].includes(hook)
          ? ['-m physdev NOT--physdev-is-in', '-m physdev NOT--physdev-in pod0']
          : []),
        ...(['OUTPUT', 'POSTROUTING'].includes(hook)
          ? [
              '-m owner NOT--uid-owner 0',
              '-m owner NOT--uid-owner 1000-2000',
              '-m owner NOT--gid-owner 0',
              '-m owner NOT--socket-exists',
              '-m owner ! --uid-owner 0 ! --gid-owner 1',
            ]
          : []),
      ]),
    )
    .map(([negated, match]) => match.replace('NOT', negated ? '! ' : ''))

/** Each kind once: iptables-nft 1.8.9 saves a rule with `-m udp` twice as if it had it once. */
const matchesArbitrary = (hook: string, places: RandomPlaces): fc.Arbitrary<readonly string[]> =>
  fc.uniqueArray(matchArbitrary(hook, places), { maxLength: 2, selector: (match) => match.split(' ')[1] })

const named = (text: string, [first = '', second = '']: readonly string[]): string =>
  text.replaceAll('LIST1', first).replaceAll('LIST2', second)
