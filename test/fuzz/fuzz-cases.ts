import { gzipSync } from 'node:zlib'
import { alterLog, flipPages } from '../../packages/core/src/io/sqlite/test-support/alter-log.js'
import { randomChoices, type RandomChoices } from '../../packages/node-iptables/src/test-support/random-numbers.js'
import { FULL_CONFIG, type FuzzBase, YAML_OBJECTS } from './fuzz-base.js'
import { mutateRules } from './mutate-rules.js'
import { gzipped, mutateBytes, mutateJson, mutateRecording, mutateYaml } from './mutations.js'
import {
  address,
  list,
  LOG_QUESTIONS,
  OBJECT_QUESTIONS,
  options,
  packet,
  point,
  RULE_QUESTIONS,
  several,
  text,
} from './questions.js'

/** One command line. Its files are named relative to the folder of the case. */
export interface FuzzStep {
  readonly argv: readonly string[]
  /** The file that is standard input; absent: none. */
  readonly stdin?: string
  /** Files of the case that the command is there to write. */
  readonly writes?: readonly string[]
}

export interface FuzzCase {
  readonly files: ReadonlyMap<string, Buffer>
  /** Run one after another, each whatever the one before ended with. */
  readonly steps: readonly FuzzStep[]
}

type Build = (base: FuzzBase, random: RandomChoices) => FuzzCase

/** The case of a seed and a number: the same each time, as long as base and code are. */
export function fuzzCase(base: FuzzBase, seed: number, number: number): FuzzCase {
  const random = randomChoices(Math.imul(seed, 31) + Math.imul(number, 2_654_435))
  return random.pick(BUILDS)(base, random)
}

const rulesAndPacket: Build = ({ saves }, random) => {
  const { rules } = random.pick(saves)
  return {
    files: new Map([['rules.txt', mutateRules(rules, random.pick(saves).rules, random)]]),
    steps: [
      {
        argv: [
          'trace',
          packet(random),
          ...(random.oneIn(3) ? ['--rules', '-'] : ['--rules', 'rules.txt']),
          ...options(random, [
            ['--node-address', address(random)],
            ['--in-interface', text(random, 'eth0')],
            ['--out-interface', text(random, 'lo')],
            ['--state', random.pick(['new', 'established', 'invalid'])],
            ['--affinity', text(random, random.pick(['none', '10.244.1.5:8080', 'KUBE-SEP-R3CGG3AK2LOL757Z']))],
            ['--connection', text(random, '10.244.1.5:8080')],
            ['--every-rule'],
            ['-o', random.pick(['text', 'wide', 'json'])],
          ]),
        ],
        stdin: 'rules.txt',
      },
    ],
  }
}

const audit: Build = ({ saves }, random) => {
  const golden = random.pick(saves)
  return {
    files: new Map([
      ['rules.txt', mutateRules(golden.rules, random.pick(saves).rules, random)],
      ['objects.json', random.oneIn(3) ? mutateObjects(golden.objects, random) : golden.objects],
      [
        'config.json',
        random.oneIn(6) ? Buffer.from(mutateJson(golden.config.toString('utf8'), random)) : golden.config,
      ],
    ]),
    steps: [
      {
        argv: [
          'audit',
          '--rules',
          'rules.txt',
          '--objects',
          'objects.json',
          '--config',
          'config.json',
          ...options(random, [
            ['--node', text(random, 'node-a')],
            ['--node-address', address(random)],
            ['--layout', random.pick(['current', 'classic'])],
            ['--family', random.pick(['ipv4', 'ipv6', 'dual'])],
            ['-o', random.pick(['text', 'json', 'jsonl'])],
          ]),
        ],
      },
    ],
  }
}

const objects: Build = ({ saves, yaml }, random) => {
  const golden = random.pick(saves)
  const hurt = random.oneIn(6)
    ? Buffer.from(mutateYaml(random.oneIn(2) ? yaml.toString('utf8') : YAML_OBJECTS, random))
    : random.oneIn(5)
      ? mutateBytes(golden.objects, random.pick(saves).objects, random)
      : mutateObjects(golden.objects, random)
  const input = random.oneIn(4) ? ['--objects', '-'] : ['--objects', 'objects.json']
  return {
    files: new Map([
      ['objects.json', random.oneIn(10) ? gzipped(hurt, random) : hurt],
      ['more.json', mutateObjects(random.pick(saves).objects, random)],
    ]),
    steps: several(random, OBJECT_QUESTIONS).map((question) => ({
      argv: [
        ...question(random),
        ...input,
        ...options(random, [
          ['--node', text(random, 'node-a')],
          ['--objects', 'more.json'],
        ]),
      ],
      stdin: 'objects.json',
    })),
  }
}

const config: Build = ({ saves, yaml }, random) => {
  const golden = random.pick(saves)
  const hurt = random.oneIn(2)
    ? mutateYaml(yaml.toString('utf8'), random)
    : random.oneIn(4)
      ? mutateBytes(yaml, golden.config, random).toString('latin1')
      : mutateJson(random.oneIn(2) ? golden.config.toString('utf8') : JSON.stringify(FULL_CONFIG), random)
  return {
    files: new Map([
      ['config.yaml', Buffer.from(hurt)],
      ['objects.json', golden.objects],
    ]),
    steps: [
      { argv: ['run', '--config', 'config.yaml', '--write-config-to', 'written.yaml'] },
      { argv: [...random.pick(OBJECT_QUESTIONS)(random), '--objects', 'objects.json', '--config', 'config.yaml'] },
    ],
  }
}

const flags: Build = ({ saves }, random) => ({
  files: new Map([['objects.json', random.pick(saves).objects]]),
  steps: [
    {
      argv: [
        ...random.pick(RULE_QUESTIONS)(random),
        '--objects',
        'objects.json',
        ...options(random, [
          ['--cluster-cidr', list(random, '10.244.0.0/16,fd00::/48')],
          [
            '--detect-local-mode',
            text(random, random.pick(['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'])),
          ],
          ['--pod-bridge-interface', text(random, 'cni0')],
          ['--pod-interface-name-prefix', text(random, 'veth')],
          ['--nodeport-addresses', list(random, '192.168.0.0/16,primary')],
          ['--masquerade-all'],
          ['--iptables-masquerade-bit', text(random, random.pick(['14', '0', '31', '32', '-1', '1.5']))],
          ['--iptables-localhost-nodeports', text(random, 'false')],
          ['--iptables-sync-period', text(random, random.pick(['30s', '-5s', '1e99h', '99999999999h', '1h1h1h']))],
          ['--iptables-min-sync-period', text(random, random.pick(['1s', '0', '1ns']))],
          ['--node', text(random, 'node-a')],
          ['--node-address', address(random)],
        ]),
      ],
    },
  ],
})

const imports: Build = ({ recordings, logs }, random) => {
  const recording = random.pick(recordings)
  const mutated = random.oneIn(5)
    ? mutateBytes(recording, random.pick(recordings), random)
    : Buffer.from(mutateRecording(recording.toString('utf8'), random))
  const log = random.oneIn(5) ? 'there.db' : 'new.db'
  const writes = ['there.db']
  return {
    files: new Map([
      ['watch.jsonl', random.oneIn(8) ? gzipped(mutated, random) : mutated],
      ['there.db', random.pick(logs)],
    ]),
    steps: [
      random.oneIn(4)
        ? { argv: ['import', '-', '--log', log], stdin: 'watch.jsonl', writes }
        : { argv: ['import', 'watch.jsonl', '--log', log, ...options(random, [['-o', 'json']])], writes },
      ...several(random, LOG_QUESTIONS).map((question) => ({ argv: [...question(random), '--log', log] })),
      ...(random.oneIn(4) ? [{ argv: ['demo', '--recording', 'watch.jsonl'] }] : []),
    ],
  }
}

const redaction: Build = ({ recordings }, random) => ({
  files: new Map([['watch.jsonl', Buffer.from(mutateRecording(random.pick(recordings).toString('utf8'), random))]]),
  steps: [
    { argv: ['import', 'watch.jsonl', '--log', 'new.db'] },
    {
      argv: [
        'export',
        '--log',
        'new.db',
        '--redact',
        '--output',
        'out.jsonl',
        ...options(random, [
          ['--redact-key', text(random, 'secret')],
          ['--from', point(random)],
          ['--until', point(random)],
        ]),
      ],
    },
    { argv: ['import', 'out.jsonl', '--log', 'again.db'] },
    { argv: ['services', '--log', 'again.db', '--wide'] },
    { argv: ['export', '--log', 'again.db', '--redact'] },
  ],
})

const logFile: Build = ({ logs, recordings }, random) => {
  const log = random.pick(logs)
  const hurt = random.oneIn(3)
    ? flipPages(log, random)
    : random.oneIn(8)
      ? mutateBytes(log, random.pick(logs), random)
      : alterLog(log, random)
  return {
    files: new Map([
      ['hurt.db', hurt],
      ['watch.jsonl', recordings[0]],
    ]),
    steps: [
      ...several(random, LOG_QUESTIONS).map((question) => ({ argv: [...question(random), '--log', 'hurt.db'] })),
      ...(random.oneIn(4) ? [{ argv: ['import', 'watch.jsonl', '--log', 'hurt.db'], writes: ['hurt.db'] }] : []),
    ],
  }
}

/** Files that are small and unpack to much, or are short and parse to much. */
const bombs: Build = (_, random) => {
  const [start, part, end] = random.pick(BOMBS)
  const megabytes = random.pick([1, 10, 40])
  const text = start + part.repeat(Math.floor((megabytes << 20) / part.length)) + end
  return {
    files: new Map([['bomb', gzipSync(text, { level: 1 })]]),
    steps: [
      {
        argv: random.pick([
          ['services', '--objects', 'bomb'],
          ['trace', 'tcp 10.244.1.9 -> 10.96.50.2:80', '--rules', 'bomb'],
          ['import', 'bomb', '--log', 'new.db'],
          ['run', '--config', 'bomb', '--write-config-to', 'written.yaml'],
        ]),
      },
    ],
  }
}

type Bomb = readonly [start: string, part: string, end: string]
const BOMBS: readonly [Bomb, ...Bomb[]] = [
  ['', '\0', ''],
  ['', ' ', ''],
  ['', '\n', ''],
  ['[', '{},', '{}]'],
  ['{"kind":"List","apiVersion":"v1","items":[', '{"kind":"Service"},', '{}]}'],
  ['{"kind":"Service","apiVersion":"v1","metadata":{"name":"', 'a', '"}}'],
  ['*nat\n', ':A - [0:0]\n', 'COMMIT\n'],
  ['*nat\n:A - [0:0]\n', '-A A -p tcp -m tcp --dport 80 -j RETURN\n', 'COMMIT\n'],
  ['*nat\n:A - [0:0]\n-A A -m comment --comment "', 'x', '" -j RETURN\nCOMMIT\n'],
  ['items:\n', '- {a: 1}\n', ''],
  ['', 'a: 1\n---\n', ''],
  ['a: |\n', '  x\n', ''],
  ['"', '\\u0000', '"'],
  ['{"type":"ADDED","object":{"kind":"Node","metadata":{"labels":{', '"a":"b",', '"c":""}}}}\n'],
]

const points: Build = ({ logs }, random) => ({
  files: new Map([['log.db', random.pick(logs)]]),
  steps: [
    { argv: [...random.pick(LOG_QUESTIONS)(random), '--log', 'log.db', '--at', point(random)] },
    { argv: ['diff', point(random), point(random), '--log', 'log.db'] },
    { argv: ['log', '--since', point(random), '--until', point(random), '-n', text(random, '5'), '--log', 'log.db'] },
    { argv: ['bisect', packet(random), '--good', point(random), '--bad', point(random), '--log', 'log.db'] },
  ],
})

/** Dumps, watches, audit logs and archives of them, to each command that takes such a file. */
const printed: Build = ({ printed: texts, saves }, random) => {
  const mutated = mutateBytes(random.pick(texts), random.pick(texts), random)
  const part = random.oneIn(2) ? mutated : random.pick(texts)
  const tar = tarOf([
    ['mg/a.json', part],
    ['mg/iptables-save', random.pick(saves).rules],
    [text(random, '../b.yaml'), random.pick(texts)],
  ])
  const isTar = random.oneIn(3)
  const file = isTar ? (random.oneIn(2) ? gzipped(tar, random) : mutateBytes(tar, part, random)) : mutated
  const argv = random.pick([
    ['services', '--objects', 'in', '--wide'],
    ['explain', 'app/web', '--objects', 'in'],
    ['render', '--objects', 'in', '--config', 'in'],
    ['import', 'in', '--log', 'x.db'],
    ['trace', packet(random), '--rules', 'in'],
  ])
  return { files: new Map([['in', file]]), steps: [{ argv, writes: ['x.db'] }] }
}

/** An archive as ustar has it. */
function tarOf(files: readonly (readonly [name: string, content: Buffer])[]): Buffer {
  const blocks = files.flatMap(([name, content]) => {
    const header = Buffer.alloc(512)
    header.write(name.slice(0, 99), 0)
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
    header.write('        0', 148)
    header.write('ustar\u000000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

const BUILDS: readonly [Build, ...Build[]] = [
  rulesAndPacket,
  rulesAndPacket,
  audit,
  objects,
  objects,
  objects,
  config,
  flags,
  imports,
  imports,
  printed,
  printed,
  redaction,
  logFile,
  logFile,
  logFile,
  points,
  bombs,
]

function mutateObjects(bytes: Buffer, random: RandomChoices): Buffer {
  return Buffer.from(mutateJson(bytes.toString('utf8'), random))
}
