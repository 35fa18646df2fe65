import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, describe, expect, it, test } from 'vitest'
import { DATAPLANES } from '../../packages/cli/src/dataplanes.js'
import { COMMAND_NAMES, createProgram } from '../../packages/cli/src/program.js'
import { lineSink, PLAIN } from '../../packages/cli/src/output/terminal.js'
import { runInProcess } from '../support/run-in-process.js'
import { temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

const FIXTURES = new URL('../../fixtures/security/02-terminal-escapes/', import.meta.url)
const fixture = (name: string): string => readFileSync(new URL(name, FIXTURES), 'utf8')
const REVIEWED = '\u001B]0;PWN\u0007\u001B[2J\u009B31m\u202EEVIL\u2066\nFAKE LINE\r'

/** The files that commands are given, with a text in every field of objects, configuration and rules that takes one. */
interface World {
  readonly evil: string
  readonly log: string
  readonly recording: string
  readonly objects: string
  readonly rules: string
  readonly config: string
  readonly kubeconfig: string
  readonly fresh: (name: string) => string
}

const PACKET = 'tcp 10.244.1.9 -> shop/checkout:http'

/** Command lines of each command but for `-o`, of which each runs with every choice that it has. */
const LINES: Readonly<Record<string, (world: World) => readonly (readonly string[])[]>> = {
  // An agent, a recorder and what writes into tables stop at what they are given: nothing here may touch this machine.
  run: ({ config, evil }) => [
    ['--config', config],
    ['--config', config, '--write-config-to', config],
    ['--hostname-override', evil, '--cluster-cidr', evil],
    ['--proxy-mode', evil],
  ],
  record: ({ kubeconfig, fresh, evil }) => [
    ['--log', fresh('recorded.db'), '--kubeconfig', kubeconfig],
    ['--log', fresh('recorded.db'), '--kubeconfig', `/nowhere/${evil.replaceAll('\0', '')}`],
    ['--log', fresh('recorded.db'), '--for', evil],
  ],
  apply: ({ evil, objects, config }) => [
    ['--dry-run', '--objects', `${evil}.yaml`],
    ['--dry-run', '--objects', objects, '--config', config],
    ['--dry-run', '--objects', objects, '--iptables-variant', evil],
  ],
  cleanup: ({ evil }) => [['--dry-run', '--iptables-variant', evil]],
  import: ({ recording, fresh, evil }) => [
    [recording, '--log', fresh('imported.db')],
    [evil, '--log', fresh('imported.db')],
  ],
  export: ({ log }) => [
    ['--log', log],
    ['--log', log, '--redact'],
  ],
  replay: ({ log }) => [['--log', log]],
  log: ({ log, evil }) => [
    ['--log', log],
    ['--log', log, '--oneline'],
    ['--log', log, '--patch'],
    ['--log', log, '--since', evil],
    ['--log', log, evil],
    ['info', '--log', log],
  ],
  services: ({ log, objects, config, evil }) => [
    ['--log', log],
    ['--objects', objects],
    ['--log', log, '--config', config],
    ['--log', log, '--node', evil],
  ],
  explain: ({ log, objects, evil }) => [
    ['shop/checkout', '--log', log],
    ['shop/checkout', '--objects', objects],
    [evil, '--log', log],
  ],
  rules: ({ log, evil }) => [
    ['--log', log],
    ['shop/checkout', '--log', log],
    ['KUBE-SERVICES', '--log', log],
    [evil, '--log', log],
  ],
  diff: ({ log }) => [
    ['6', '12', '--log', log],
    ['6', '12', '--stat', '--log', log],
  ],
  blame: ({ log, evil }) => [
    ['shop/checkout', '--log', log],
    [`-A ${evil}`, '--log', log],
  ],
  render: ({ log, objects }) => [
    ['--log', log],
    ['--objects', objects],
  ],
  trace: ({ log, rules, evil }) => [
    [PACKET, '--log', log],
    ['tcp 10.244.1.9 -> 10.96.50.2:80', '--rules', rules],
    ['tcp 10.244.1.9 -> 10.96.50.2:80', '--rules', rules, '--every-rule'],
    [evil, '--log', log],
  ],
  bisect: ({ log, evil }) => [
    [PACKET, '--log', log],
    [evil, '--log', log],
  ],
  audit: ({ rules, objects, log }) => [
    ['--rules', rules, '--objects', objects, '--node', 'node-a'],
    ['--rules', rules, '--log', log],
  ],
  migrate: ({ log, objects, rules, evil }) => [
    ['--log', log],
    ['--objects', objects, '--node', 'node-a', '--rules', rules],
    ['--log', log, '--node-address', evil],
    ['--log', log, '--rules', evil],
  ],
  demo: ({ recording }) => [['--recording', recording]],
  completion: () => [['bash'], ['zsh'], ['fish']],
}

/** Pieces of what a terminal obeys, or hides. */
const PIECES = [
  '\u001B]0;PWN\u0007',
  '\u001B[2J\u001B[35m',
  '\u009B31m',
  '\u0085',
  '\u007F',
  '\t\u000B\u000C',
  '\r',
  '\u061C\u200E\u200F\u202E\u2066\u2069',
  '\u2028',
  '\u2029',
  '\u200B\uFEFF',
  '\u{E0041}\u{E007F}',
  '\uD800',
  'a word',
]

const evilText = fc
  .array(fc.constantFrom(...PIECES), { minLength: 3, maxLength: 8 })
  .map((pieces) => `${pieces.join('')}\nFAKE LINE\r\nFAKE LINE${pieces.join('')}`)

describe('whatever text the outside holds', () => {
  it('is asked about with every command that there is', () => {
    expect(Object.keys(LINES).toSorted()).toEqual(COMMAND_NAMES.toSorted())
  })

  test.each(COMMAND_NAMES)('%s prints none of it that a terminal would obey', async (name) => {
    await fc.assert(
      fc.asyncProperty(evilText, fc.array(fc.nat(), { maxLength: 12 }), async (evil, places) => {
        const world = await worldWith(evil, places)
        for (const line of (LINES[name] ?? (() => []))(world)) await expectClean([name, ...line])
        await expectClean([name, `--${evil}`])
        await expectClean([name, '--log', `/nowhere/${evil}`, evil, evil])
        await expectClean([evil, name])
      }),
      { numRuns: process.env['POINTSMAN_SOAK'] === '1' ? 60 : 3 },
    )
  })

  it('is no style and no line of another where colours are on', async () => {
    const world = await worldWith(REVIEWED, [])
    for (const name of ['services', 'explain', 'log', 'blame', 'diff', 'trace', 'bisect', 'audit', 'demo']) {
      for (const line of LINES[name]?.(world) ?? []) {
        const { stdout, stderr } = await ended([name, ...line], { FORCE_COLOR: '1' })
        const plain = `${stdout}${stderr}`.replaceAll(/\p{Cc}\[(?:1|2|22|3[1-369])m/gu, '')
        expect({ name, line, problems: problemsOf(plain) }).toEqual({ name, line, problems: [] })
      }
    }
  })
})

/** Runs a command with each form of its answer. */
async function expectClean(args: readonly string[]): Promise<void> {
  for (const form of [undefined, ...(await formsOf(args))]) {
    const all = form === undefined ? args : [...args, '-o', form]
    const { stdout, stderr } = await ended(all)
    expect({ all, problems: [...problemsOf(stdout), ...problemsOf(stderr)] }).toEqual({ all, problems: [] })
    if (stdout === '') continue
    if (form === 'json') JSON.parse(stdout)
    if (form === 'jsonl') for (const line of stdout.trimEnd().split('\n')) JSON.parse(line)
  }
}

async function ended(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const command = runInProcess(args, { env })
  await command.ended
  return { stdout: command.stdout(), stderr: command.stderr() }
}

/** The choices of `-o`, where the command has any. */
async function formsOf([name = '', sub = '']: readonly string[]): Promise<readonly string[]> {
  const silent = lineSink({ write: () => true })
  const context = {
    stdin: process.stdin,
    stdout: silent,
    stderr: silent,
    env: {},
    now: () => 0,
    interrupted: new AbortController().signal,
    style: PLAIN,
    errorStyle: PLAIN,
    dataplanes: DATAPLANES,
    finish: () => undefined,
  }
  const program = await createProgram([name], '0', context)
  const command = program.commands.find((each) => each.name() === name)
  const asked = command?.commands.find((each) => each.name() === sub) ?? command
  return asked?.options.find(({ long }) => long === '--output')?.argChoices ?? []
}

/** What is left of controls, and lines that the text begins. */
function problemsOf(text: string): readonly string[] {
  const lines = text.split('\n')
  const controls = lines.filter((line) => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(line))
  const forged = lines.filter((line) => /^\s*FAKE LINE/.test(line))
  return [...controls, ...forged].map((line) => JSON.stringify(line))
}

let worlds = 0

/** The review's files with another text in them; and the text at some more places of each object, counted through all texts. */
async function worldWith(evil: string, places: readonly number[]): Promise<World> {
  worlds += 1
  const fresh = (name: string): string => folder.path(`${worlds}-${name}`)
  const written = (name: string, text: string): string => {
    writeFileSync(fresh(name), text)
    return fresh(name)
  }
  const inJson = (text: string): string =>
    text.replaceAll(/\\u001b\]0;PWN.*?FAKE LINE(?:\\r)?/g, () => JSON.stringify(evil).slice(1, -1))
  const lines = fixture('esc.jsonl').trimEnd().split('\n')
  const recording = written(
    'watch.jsonl',
    lines.map((line) => (isJson(line) ? planted(inJson(line), evil, places) : line)).join('\n'),
  )
  const objects = JSON.parse(inJson(fixture('objs.json'))) as { items: object[] }
  objects.items.push({ kind: evil, apiVersion: evil, metadata: { name: evil } })
  const log = fresh('evil.db')
  await ended(['import', recording, '--log', log])
  const ruleText = evil.replaceAll(/[\n"\\]/g, ' ')
  return {
    evil,
    fresh,
    log,
    recording,
    objects: written('objects.json', JSON.stringify(objects)),
    rules: written(
      'rules.txt',
      `*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m comment --comment "${ruleText}" -j DROP\nCOMMIT\n`,
    ),
    config: written(
      'config.json',
      JSON.stringify({
        apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
        kind: 'KubeProxyConfiguration',
        [evil]: evil,
        ipvs: { [evil]: evil },
        clusterCIDR: evil,
        featureGates: { [evil]: true },
        nodePortAddresses: [evil],
      }),
    ),
    kubeconfig: written('kubeconfig.json', JSON.stringify({ kind: evil, 'current-context': evil, contexts: [evil] })),
  }
}

/** Some lines of the recording are no JSON, so that there are refusals. */
function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

/** An event with a text behind some of its own texts; where that makes it another object, commands have less to say. */
function planted(line: string, evil: string, places: readonly number[]): string {
  let count = 0
  return JSON.stringify(JSON.parse(line), (key, value: unknown) => {
    if (typeof value !== 'string' || key === 'observedAt' || key === 'type') return value
    count += 1
    return places.some((place) => place % 40 === count) ? `${value}${evil}` : value
  })
}

describe('the review', () => {
  test.each(['a3', 'r3.txt'])('rules of %s', async (name) => {
    const path = fileURLToPath(new URL(name, FIXTURES))
    const objects = fileURLToPath(new URL('objs.json', FIXTURES))
    await expectClean(['audit', '--rules', path, '--objects', objects, '--node', 'node-a'])
    await expectClean(['trace', 'tcp 10.244.1.9 -> 10.96.50.2:80', '--rules', path])
  })

  it('texts that a real API server takes', async () => {
    const log = folder.path('annotations.db')
    await expectClean(['import', fileURLToPath(new URL('ann.jsonl', FIXTURES)), '--log', log])
    for (const line of [[], ['--oneline'], ['--patch']]) await expectClean(['log', '--log', log, ...line])
  })

  it('finds the same in an export as in what was imported', async () => {
    const { log, fresh } = await worldWith(REVIEWED, [])
    const first = await ended(['export', '--log', log])
    writeFileSync(fresh('again.jsonl'), first.stdout)
    await ended(['import', fresh('again.jsonl'), '--log', fresh('again.db')])
    const second = await ended(['export', '--log', fresh('again.db')])
    expect(second.stdout).toBe(first.stdout)
    expect(first.stdout).toContain(String.raw`\u202eEVIL`)
  })
})
