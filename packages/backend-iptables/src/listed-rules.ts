import type { IpFamily, ListingFile, ListingFinder } from '@pointsman/core'
import { listed, openSegment, type PastedLine, type Segment } from './inferred-tables.js'

/** `Chain KUBE-SERVICES (2 references)`, which begins a chain in what `iptables -L` prints. */
export const isListingLine = (line: string): boolean => CHAIN.test(line)

const CHAIN = /^Chain (\S+) \((?:policy (\w+)\b.*|\d+ references)\)$/

type Refuse = (message: string) => Error

/**
 * Reads what `iptables -nvL` prints. It leaves out the interfaces without -v, prints names in place of numbers without -n, and
 * says what matches and targets do in words of their own: what is not known to the letter is refused, with what to run in its place.
 */
export function listedSegments(lines: readonly PastedLine[], refuse: Refuse): readonly Segment[] {
  let segment = openSegment()
  const segments = [segment]
  let chain: string | undefined
  let columns: Columns | undefined
  for (const { number, text, command } of lines) {
    if (command !== undefined) segments.push((segment = openSegment(command.table)))
    if (text === '') continue
    const [, name, policy] = CHAIN.exec(text) ?? []
    if (name !== undefined) {
      // A table has a chain once, and its built-in chains first.
      if (segment.chains.has(name) || (policy !== undefined && segment.chains.size > segment.policies.size))
        segments.push((segment = openSegment()))
      chain = name
      segment.chains.add(name)
      if (policy !== undefined) segment.policies.set(name, policy)
    } else if (/^(?:num +)?(?:pkts +bytes +)?target +prot +opt /.test(text)) {
      columns = { isNumbered: text.startsWith('num'), isVerbose: /\bpkts +bytes\b/.test(text) }
      if (!columns.isVerbose)
        throw refuse(`line ${number}: this is iptables -L without -v, which leaves out interfaces: ${RUN}`)
    } else if (chain !== undefined && columns !== undefined) {
      segment.rules.push({
        number,
        chain,
        text: `-A ${chain} ${listedRule(text, columns, { number, refuse })}`.trimEnd(),
      })
    } else throw refuse(`line ${number}: not what iptables -nvL prints: ${JSON.stringify(text.slice(0, 80))}`)
  }
  return segments.filter(({ chains }) => chains.size > 0)
}

const RUN = 'run `iptables-save`, and give what it prints'

interface Columns {
  readonly isNumbered: boolean
  readonly isVerbose: boolean
}

/** One line of a chain as the words of a save. */
function listedRule(
  text: string,
  { isNumbered }: Columns,
  { number, refuse }: { readonly number: number; readonly refuse: Refuse },
): string {
  const fail = (what: string): Error =>
    refuse(`line ${number}: ${JSON.stringify(what.slice(0, 100))} in what iptables -L prints leaves doubts: ${RUN}`)
  const words = text.replace(isNumbered ? /^\d+ +/ : /^/, '')
  const found = words.length > LONGEST_ROW ? null : ROW.exec(words)
  if (found === null) throw fail(words)
  const {
    target = '',
    protocol = '',
    fragment = '',
    input = '',
    output = '',
    source = '',
    destination = '',
    rest = '',
  } = found.groups ?? {}
  const [matches, options] = matchesAndOptions(rest, fail)
  const isGoto = options.includes(GOTO)
  return [
    address('-s', source, fail),
    address('-d', destination, fail),
    named('-i', input),
    named('-o', output),
    protocolWords(protocol, fail),
    fragment === '-f' ? '-f' : fragment === '!f' ? '! -f' : '',
    ...matches,
    target === '' ? '' : `${isGoto ? '-g' : '-j'} ${target}`,
    ...options.filter((option) => option !== GOTO).map((option) => option.replace(/^TO\b/, TO_OPTIONS[target] ?? 'TO')),
  ]
    .filter((word) => word !== '')
    .join(' ')
}

const LONGEST_ROW = 2000

// Older versions of ip6tables leave the column `opt` empty; a rule without a target leaves its column empty.
const ROW =
  /^\d+[KMGT]? +\d+[KMGT]? +(?:(?<target>[\w-]+) +)??(?<protocol>!?(?:\d+|[a-z][\w-]*)) +(?:(?<fragment>--|-f|!f) +)?(?<input>!?[^\s/]+) +(?<output>!?[^\s/]+) +(?<source>!?[\da-f.:]+(?:\/[\da-f.:]+)?|anywhere|!?[\w.-]+) +(?<destination>!?[\da-f.:]+(?:\/[\da-f.:]+)?|anywhere|!?[\w.-]+)(?: +(?<rest>.*))?$/

function address(option: string, text: string, fail: (what: string) => Error): string {
  const [, negated = '', bare = ''] = /^(!?)(.*)$/.exec(text) ?? []
  if (!/^[\da-f.:]+(?:\/[\da-f.:]+)?$/.test(bare) || !/[.:]/.test(bare)) throw fail(text)
  return /^(?:0\.0\.0\.0|::)\/0$/.test(bare) && negated === '' ? '' : `${negated === '' ? '' : '! '}${option} ${bare}`
}

function named(option: string, text: string): string {
  if (text === '*') return ''
  return text.startsWith('!') ? `! ${option} ${text.slice(1)}` : `${option} ${text}`
}

/** Newer versions print the number with -n. */
function protocolWords(text: string, fail: (what: string) => Error): string {
  const [, negated = '', bare = ''] = /^(!?)(.*)$/.exec(text) ?? []
  const name = PROTOCOLS.get(bare) ?? bare
  if (name === 'all') {
    if (negated === '') return ''
    throw fail(text)
  }
  return `${negated === '' ? '' : '! '}-p ${name}`
}

const PROTOCOLS: ReadonlyMap<string, string> = new Map([
  ['0', 'all'],
  ['1', 'icmp'],
  ['6', 'tcp'],
  ['17', 'udp'],
  ['58', 'ipv6-icmp'],
  ['132', 'sctp'],
])

const GOTO = '[goto]'
const TO_OPTIONS: { readonly [target: string]: string } = {
  DNAT: '--to-destination',
  SNAT: '--to-source',
  NETMAP: '--to',
}

/** Splits what stands behind the columns into matches and options of the target, each in the words of a save. */
function matchesAndOptions(
  rest: string,
  fail: (what: string) => Error,
): readonly [matches: readonly string[], options: readonly string[]] {
  const matches: string[] = []
  const options: string[] = []
  // A comment may hold what ends one.
  if ((rest.match(/\*\//g)?.length ?? 0) > 1) throw fail(rest)
  for (let left = rest.trim(); left !== '';) {
    const form = FORMS.find(({ pattern }) => pattern.test(left))
    const found = form?.pattern.exec(left)
    if (form === undefined || found === null || found === undefined) throw fail(left)
    const words = form.words(found)
    if (form.isOfTarget === true) options.push(words)
    else matches.push(words)
    left = left.slice(found[0].length).trimStart()
  }
  return [matches, options]
}

interface Form {
  readonly pattern: RegExp
  readonly words: (found: RegExpExecArray) => string
  readonly isOfTarget?: true
}

const END = '(?= |$)'
const not = (text: string | undefined): string => (text === undefined || text === '' ? '' : '! ')

/** Netfilter's own words, of the print functions of its extensions (https://git.netfilter.org/iptables/tree/extensions). */
const FORMS: readonly Form[] = [
  {
    pattern: /^\/\* (.*?) \*\//,
    words: ([, comment = '']) => `-m comment --comment "${comment.replaceAll(/["\\]/g, String.raw`\$&`)}"`,
  },
  {
    pattern: new RegExp(`^(tcp|udp|sctp)((?: [sd]pts?:!?\\d+(?::\\d+)?)*)${END}`),
    words: ([, protocol = '', ports = '']) => {
      const words = [...ports.matchAll(/([sd])pts?:(!?)(\d+(?::\d+)?)/g)].map(
        ([, side, negated, port]) => `${not(negated)}--${side}port ${port}`,
      )
      return [`-m ${protocol}`, ...words].join(' ')
    },
  },
  {
    pattern: new RegExp(`^multiport (dports|sports|ports) ([\\d,:]+)${END}`),
    words: ([, side = '', ports = '']) => `-m multiport --${side} ${ports}`,
  },
  {
    pattern: new RegExp(`^mark match (! ?)?(0x[\\da-f]+)(?:/(0x[\\da-f]+))?${END}`),
    words: ([, negated, value = '', mask]) =>
      `-m mark ${not(negated)}--mark ${value}${mask === undefined ? '' : `/${mask}`}`,
  },
  {
    pattern: new RegExp(`^MARK (or|xor|set|xset) (0x[\\da-f]+)(?:/(0x[\\da-f]+))?${END}`),
    words: ([, how = '', value = '', mask]) =>
      `--set-xmark ${value}/${how === 'or' ? value : how === 'xor' ? '0x0' : (mask ?? '0xffffffff')}`,
    isOfTarget: true,
  },
  {
    pattern: new RegExp(`^ADDRTYPE match (?:src-type (!?)([A-Z,]+) ?)?(?:dst-type (!?)([A-Z,]+))?(?<!match )${END}`),
    words: ([, notSource, source, notDestination, destination]) =>
      [
        '-m addrtype',
        source === undefined ? '' : ` ${not(notSource)}--src-type ${source}`,
        destination === undefined ? '' : ` ${not(notDestination)}--dst-type ${destination}`,
      ].join(''),
  },
  {
    pattern: new RegExp(`^(! ?)?ctstate ([A-Z,]+)${END}`),
    words: ([, negated, states = '']) => `-m conntrack ${not(negated)}--ctstate ${states}`,
  },
  {
    pattern: new RegExp(`^(! ?)?state ([A-Z,]+)${END}`),
    words: ([, negated, states = '']) => `-m state ${not(negated)}--state ${states}`,
  },
  {
    pattern: new RegExp(`^statistic mode random probability ([\\d.]+)${END}`),
    words: ([, probability = '']) => `-m statistic --mode random --probability ${probability}`,
  },
  {
    pattern: new RegExp(`^statistic mode nth every (\\d+)(?: packet (\\d+))?${END}`),
    words: ([, every = '', packet = '0']) => `-m statistic --mode nth --every ${every} --packet ${packet}`,
  },
  {
    pattern: new RegExp(
      `^recent: (SET|UPDATE|CHECK)(?: seconds: (\\d+))?( reap)? name: ([\\w.-]+) side: source mask: ([\\d.a-f:]+)${END}`,
    ),
    words: ([, what = '', seconds, reap, name = '', mask = '']) =>
      [
        '-m recent',
        what === 'SET' ? '--set' : what === 'UPDATE' ? '--update' : '--rcheck',
        ...(seconds === undefined ? [] : [`--seconds ${seconds}`]),
        ...(reap === undefined ? [] : ['--reap']),
        `--name ${name} --mask ${mask} --rsource`,
      ].join(' '),
  },
  {
    pattern: new RegExp(`^(! ?)?match-set ([\\w.:-]+) ([a-z,]+)${END}`),
    words: ([, negated, name = '', sides = '']) => `-m set ${not(negated)}--match-set ${name} ${sides}`,
  },
  {
    pattern: new RegExp(`^nfacct-name +([\\w.-]+)${END}`),
    words: ([, name = '']) => `-m nfacct --nfacct-name ${name}`,
  },
  { pattern: /^\[goto\]/, words: () => GOTO, isOfTarget: true },
  { pattern: new RegExp(`^to:([\\d.a-f:[\\]-]+)${END}`), words: ([, to = '']) => `TO ${to}`, isOfTarget: true },
  {
    pattern: new RegExp(`^(random-fully|random|persistent)${END}`),
    words: ([, word = '']) => `--${word}`,
    isOfTarget: true,
  },
  {
    pattern: new RegExp(`^reject-with ([a-z\\d-]+)${END}`),
    words: ([, how = '']) => `--reject-with ${how}`,
    isOfTarget: true,
  },
]

/** Finds the rules of a node among the files of a directory, such as sosreport makes: saves, else what `iptables -S` or -nvL printed. */
export const listings: ListingFinder = {
  isListing: (beginning) =>
    /^\*(?:nat|filter)[ \t\r]*$|^Chain \S+ \((?:policy |\d+ references)|^-P (?:INPUT|PREROUTING) /m.test(beginning),
  choose(files, { family, refuse }) {
    const all = files.map((file) => ({ ...file, family: familyOf(file) }))
    const wanted = family ?? (all.some((file) => file.family !== 'IPv6') ? 'IPv4' : 'IPv6')
    const own = all.filter((file) => (file.family ?? wanted) === wanted)
    const saves = distinct(own.filter(({ text }) => /^\*(?:nat|filter)[ \t\r]*$/m.test(text)))
    const [save, another] = saves
    if (save !== undefined && another === undefined) return save
    if (save !== undefined)
      throw refuse(
        `several files have rules of ${wanted} (${listed(saves.map(({ name }) => name))}): give one of them with --rules`,
      )
    const stated = distinct(own.filter(({ text }) => /^-P /m.test(text)))
    const parts =
      stated.length > 0 ? stated : distinct(own.filter(({ text }) => /^ *(?:num +)?pkts +bytes +target /m.test(text)))
    const [first, ...others] = parts
    if (first === undefined) throw refuse(`no file has rules of ${wanted}: give what \`iptables-save\` prints`)
    if (others.length === 0) return { name: first.name, text: withCommand(first) }
    return { name: listed(parts.map(({ name }) => name)), text: parts.map(withCommand).join('\n') }
  },
}

function familyOf({ name, text }: ListingFile): IpFamily | undefined {
  const program = /^# Generated by (ip6?)tables/m.exec(text)?.[1] ?? /(ip6?)tables[^/]*$/.exec(name)?.[1]
  if (program !== undefined) return program === 'ip6' ? 'IPv6' : 'IPv4'
  if (/ (?:\d+\.){3}\d+(?:\/\d+)? /.test(text)) return 'IPv4'
  return / [\da-f:]*::[\da-f:]*\/\d+ /.test(text) ? 'IPv6' : undefined
}

/** One of each text: a directory may hold a file under two names. */
function distinct<File extends ListingFile>(files: readonly File[]): readonly File[] {
  return [...new Map(files.toReversed().map((file) => [file.text, file])).values()].toReversed()
}

/** sosreport names a file after the command: `iptables_-t_nat_-nvL`. */
function withCommand({ name, text }: ListingFile): string {
  const command = /(?:^|[/ ])(ip6?tables(?:_[\w-]+)*)$/.exec(name)?.[1]
  return command === undefined ? text : `# ${command.replaceAll('_', ' ')}\n${text}`
}
