import type { RandomChoices } from '../../packages/node-iptables/src/test-support/random-numbers.js'
import { HOSTILE_STRINGS, mutateWords } from './mutations.js'

/** The words of a question but those that name the input. */
export type Question = (random: RandomChoices) => readonly string[]

/** About objects, and what decides about rules. */
export const RULE_QUESTIONS: readonly [Question, ...Question[]] = [
  (random) => ['explain', text(random, service(random)), ...options(random, [['-o', 'json']])],
  (random) => [
    'rules',
    ...options(random, [['-o', random.pick(['json', 'jsonl'])], ['--layout', 'classic'], ['--nfacct']]),
  ],
  (random) => ['rules', text(random, service(random)), ...options(random, [['-o', random.pick(['json', 'jsonl'])]])],
  (random) => [
    'render',
    ...options(random, [
      ['-o', random.pick(['json', 'jsonl'])],
      ['--family', random.pick(['ipv4', 'ipv6'])],
      ['--layout', 'classic'],
    ]),
  ],
  (random) => ['trace', packet(random), ...options(random, [['-o', random.pick(['text', 'wide', 'json'])]])],
]

/** What can be asked of objects. */
export const OBJECT_QUESTIONS: readonly [Question, ...Question[]] = [
  ...RULE_QUESTIONS,
  (random) => [
    'services',
    ...options(random, [
      ['--wide'],
      ['-o', random.pick(['text', 'wide', 'json', 'jsonl'])],
      ['-n', text(random, 'default')],
    ]),
  ],
  (random) => [
    'services',
    ...options(random, [['-o', random.pick(['text', 'wide', 'json', 'jsonl'])]]),
    text(random, 'default/web'),
  ],
]

/** What can be asked of a change log. */
export const LOG_QUESTIONS: readonly [Question, ...Question[]] = [
  ...OBJECT_QUESTIONS,
  (random) => [
    'log',
    ...options(random, [
      ['--oneline'],
      ['--patch'],
      ['--reverse'],
      ['-o', random.pick(['json', 'jsonl'])],
      ['-n', '7'],
    ]),
  ],
  (random) => [
    'log',
    ...options(random, [
      ['--patch'],
      ['-o', 'jsonl'],
      ['--type', random.pick(['object', 'sync', 'notice', 'config', 'bookmark', 'ADDED'])],
    ]),
  ],
  (random) => [
    'log',
    text(random, service(random)),
    ...options(random, [['--patch'], ['--kind', random.pick(['Service', 'EndpointSlice', 'Node'])]]),
  ],
  (random) => ['log', 'info', ...options(random, [['-o', 'json']])],
  (random) => ['blame', ...options(random, [['-o', random.pick(['json', 'jsonl'])]])],
  (random) => [
    'blame',
    text(random, random.pick(['shop/checkout', 'KUBE-SERVICES', '-A KUBE-SERVICES -j KUBE-NODEPORTS'])),
  ],
  (random) => ['diff', '1', ...options(random, [['--stat'], ['-o', 'json']])],
  (random) => ['diff', point(random), point(random)],
  (random) => ['bisect', packet(random), ...options(random, [['--exact'], ['-o', 'json']])],
  (random) => ['export', ...options(random, [['--redact'], ['--from', point(random)], ['--until', point(random)]])],
  (random) => [
    'replay',
    ...options(random, [
      ['--until', point(random)],
      ['--record', 'replayed.db'],
      ['-o', 'json'],
      ['--node', 'node-a'],
    ]),
  ],
]

/** A packet as `trace` takes it, or one that is none. */
export function packet(random: RandomChoices): string {
  const protocol = random.oneIn(12) ? random.pick(HOSTILE_STRINGS) : random.pick(['tcp', 'udp', 'sctp', 'icmp'])
  const source = random.pick([
    '10.244.1.9',
    'node',
    'outside',
    'node-a',
    'default/web',
    'fd00:10:244::5',
    address(random),
  ])
  const destination = random.pick([
    '10.96.50.2',
    '10.96.0.10',
    '192.168.55.10',
    service(random),
    '[fd00::1]',
    '127.0.0.1',
    address(random),
  ])
  const port = random.oneIn(8)
    ? random.pick(HOSTILE_STRINGS)
    : random.pick(['80', '53', 'http', '30160', '0', '65536', '-1', '443'])
  const text = `${protocol} ${source} -> ${destination}:${port}`
  return random.oneIn(10) ? mutateWords(text, ['->', '-', '>', ':', '::', 'tcp', '[', ']'], random) : text
}

export const service = (random: RandomChoices): string =>
  random.pick([
    'shop/checkout',
    'shop/checkout:http',
    'default/web',
    'default/dual:http',
    'web',
    'kube-system/kube-dns:dns',
  ])

export const address = (random: RandomChoices): string =>
  text(
    random,
    random.pick([
      '192.168.55.10',
      '10.0.0.1',
      'fd00::1',
      '0.0.0.0',
      '::',
      '255.255.255.255',
      '10.1',
      '1.2.3.4.5',
      '::1%lo',
    ]),
  )

/** A point in time as `--at` takes it, or one that is none. */
export function point(random: RandomChoices): string {
  const good = random.pick([
    '1',
    '40',
    '118',
    '128',
    '-5s',
    '-1h',
    '02:24:40',
    '2026-11-21T02:24:40Z',
    '2026-11-21T02:24:40.123456789+14:00',
  ])
  return random.oneIn(3)
    ? random.pick([
        '0',
        '-0s',
        '999999999999999',
        '99999999999999999999',
        '-99999999999d',
        '24:00',
        '23:59:60',
        '-1',
        '1.5',
        '2026-02-30T00:00:00Z',
        '9999-12-31T23:59:59-23:59',
        '0001-01-01T00:00:00+23:59',
      ])
    : text(random, good)
}

export const list = (random: RandomChoices, good: string): string =>
  random.oneIn(4) ? `${good},${'10.0.0.0/8,'.repeat(random.pick([1, 5000]))}` : text(random, good)

/** Most of the time what is given, else what nobody would write. NUL cannot be in an argument. */
export const text = (random: RandomChoices, good: string): string =>
  (random.oneIn(6) ? random.pick(HOSTILE_STRINGS) : good).replaceAll('\0', '')

/** Each option once in three times. */
export const options = (random: RandomChoices, choices: readonly (readonly string[])[]): readonly string[] =>
  choices.flatMap((option) => (random.oneIn(3) ? option : []))

export const several = (random: RandomChoices, questions: readonly [Question, ...Question[]]): readonly Question[] =>
  Array.from({ length: 1 + random.below(3) }, () => random.pick(questions))
