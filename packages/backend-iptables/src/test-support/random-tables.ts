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
}

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

const TABLES: readonly Table[] = [
  { name: 'raw', hooks: ['PREROUTING', 'OUTPUT'], targets: () => [...ENDING, 'CT --notrack'] },
  {
    name: 'mangle',
    hooks: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
    targets: () => ENDING,
  },
  {
    name: 'nat',
    hooks: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
    targets: (hook, places) => ['ACCEPT', 'RETURN', ...translations(hook, places)],
  },
  { name: 'filter', hooks: ['INPUT', 'FORWARD', 'OUTPUT'], targets: () => [...ENDING, 'REJECT'] },
]

function translations(hook: string, { nodeAddresses, elsewhere }: RandomPlaces): readonly string[] {
  const to = (address: string, port = ''): string =>
    address.includes(':') ? `[${address}]${port}` : `${address}${port}`
  if (hook === 'PREROUTING' || hook === 'OUTPUT') {
    return [...nodeAddresses, ...elsewhere].flatMap((address) => [
      `DNAT --to-destination ${to(address, ':8080')}`,
      `DNAT --to-destination ${address}`,
    ])
  }
  const [source = ''] = elsewhere
  return [`SNAT --to-source ${source}`, ...(hook === 'POSTROUTING' ? ['MASQUERADE'] : [])]
}

/** Per hook a chain of random rules, and two more that it may jump to or go to. */
function tableArbitrary(table: Table, places: RandomPlaces): fc.Arbitrary<string> {
  const ofHook = (hook: string): fc.Arbitrary<readonly string[]> =>
    fc
      .tuple(
        rulesArbitrary([`${hook}-1`, `${hook}-2`], table.targets(hook, places), places),
        rulesArbitrary([`${hook}-2`], table.targets(hook, places), places),
        rulesArbitrary([], table.targets(hook, places), places),
      )
      .map((chains) => chains.flatMap((rules, index) => rules.map((rule) => `-A ${hook}-${index} ${rule}`.trimEnd())))
  return fc
    .tuple(...table.hooks.map(ofHook))
    .map((hooks) =>
      [
        `*${table.name}`,
        ...table.hooks.map((hook) => `:${hook} ACCEPT [0:0]`),
        ...table.hooks.flatMap((hook) => [0, 1, 2].map((index) => `:${hook}-${index} - [0:0]`)),
        ...table.hooks.map((hook) => `-A ${hook} -p udp -j ${hook}-0`),
        ...hooks.flat(),
        'COMMIT\n',
      ].join('\n'),
    )
}

function rulesArbitrary(
  chains: readonly string[],
  targets: readonly string[],
  places: RandomPlaces,
): fc.Arbitrary<readonly string[]> {
  const target = fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...MARKS) },
    { weight: 2, arbitrary: fc.constantFrom(...targets.map((text) => `-j ${text}`)) },
    ...(chains.length === 0
      ? []
      : [{ weight: 4, arbitrary: fc.constantFrom(...chains.flatMap((chain) => [`-j ${chain}`, `-g ${chain}`])) }]),
  )
  const rule = fc
    .tuple(generalArbitrary(places), matchesArbitrary, target)
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

const matchArbitrary: fc.Arbitrary<string> = fc
  .tuple(
    fc.boolean(),
    fc.constantFrom(
      '-m udp NOT--dport 53',
      '-m udp NOT--dport 80:8080',
      '-m udp NOT--sport 1024:65535',
      '-m mark NOT--mark 0x1/0x1',
      '-m mark NOT--mark 0x4000',
      '-m mark NOT--mark 0x0/0x4001',
      ...['NEW', 'RELATED,ESTABLISHED', 'INVALID', 'UNTRACKED', 'DNAT', 'SNAT', 'NEW,DNAT'].map(
        (states) => `-m conntrack NOT--ctstate ${states}`,
      ),
      '-m addrtype NOT--dst-type LOCAL',
      '-m addrtype NOT--src-type LOCAL',
      '-m addrtype NOT--dst-type UNICAST',
      '-m statistic --mode random NOT--probability 1',
      '-m statistic --mode random NOT--probability 0',
      '-m recent NOT--set --name LIST1 --rsource',
      '-m recent NOT--set --name LIST2 --rdest',
      '-m recent NOT--rcheck --name LIST1 --rsource',
      '-m recent NOT--rcheck --seconds 60 --name LIST2 --rsource',
      '-m recent NOT--update --name LIST2 --rdest',
      '-m recent NOT--remove --name LIST1 --rsource',
      '-m comment --comment "any packet"',
    ),
  )
  .map(([negated, match]) => match.replace('NOT', negated ? '! ' : ''))

/** Each kind once: iptables-nft 1.8.9 saves a rule with `-m udp` twice as if it had it once. */
const matchesArbitrary = fc.uniqueArray(matchArbitrary, { maxLength: 2, selector: (match) => match.split(' ')[1] })

const named = (text: string, [first = '', second = '']: readonly string[]): string =>
  text.replaceAll('LIST1', first).replaceAll('LIST2', second)
