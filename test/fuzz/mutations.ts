import { gzipSync } from 'node:zlib'
import type { RandomChoices } from '../../packages/node-iptables/src/test-support/random-numbers.js'

/** Values at the edge of what a number, a name or a line may be, in place of a string of an input. */
export const HOSTILE_STRINGS: readonly [string, ...string[]] = [
  '',
  ' ',
  '\t',
  'x'.repeat(100_000),
  'a-'.repeat(130),
  '\u0000',
  '\u001B[31mred\u001B[0m',
  '\u001B]0;title\u0007',
  '\r\nFAKE LINE',
  '\u009B31m\u0085',
  '\u007F\b\b\b',
  '\u202Egnp\u2066',
  '\u2028\u2029',
  '\uD800',
  '\uDFFFx',
  '\uFEFF',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'then',
  '../../../etc/passwd',
  '%s%n$&$1',
  "'; DROP TABLE records; --",
  '"\\',
  'NaN',
  'Infinity',
  '-0',
  '1e308',
  '0x7fffffff',
  '007',
  '2026-13-45T99:99:99Z',
  '+275761-01-01T00:00:00Z',
  '0000-00-00T00:00:00Z',
  '::',
  '::ffff:1.2.3.4',
  'fe80::1%eth0',
  '0.0.0.0/0',
  '1.2.3.4/33',
  '256.1.1.1',
  '*',
  '!',
  '-',
  '--',
  'null',
  'shop/checkout/http',
  'e\u0301'.repeat(60),
  '\u{1F9ED}'.repeat(40),
]

const NUMBERS: readonly [string, ...string[]] = [
  '0',
  '-1',
  '1',
  '65535',
  '65536',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '1e308',
  '-1e400',
  '0.1',
  '1e-320',
  '99999999999999999999999999',
]

/** One byte sequence made into another: flips, cuts, repeats, and pieces of another input. */
export function mutateBytes(bytes: Buffer, other: Buffer, random: RandomChoices): Buffer {
  const at = random.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + 1 + random.below(random.pick([1, 16, 512, 5000])))
  switch (random.below(7)) {
    case 0: {
      const flipped = Buffer.from(bytes)
      for (let count = 1 + random.below(8); count > 0 && flipped.length > 0; count--) {
        const place = random.below(flipped.length)
        flipped[place] = (flipped[place] ?? 0) ^ (1 << random.below(8))
      }
      return flipped
    }
    case 1:
      return bytes.subarray(0, at)
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
    case 3:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    case 4:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))])
    case 5:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(Array.from({ length: 1 + random.below(40) }, () => random.below(256))),
        bytes.subarray(at),
      ])
    default:
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(to - at), bytes.subarray(to)])
  }
}

/** A text of words and lines with words dropped, repeated, swapped for others, and lines moved. */
export function mutateWords(text: string, words: readonly [string, ...string[]], random: RandomChoices): string {
  const lines = text.split('\n')
  for (let count = random.pick([1, 1, 2, 5, 20]); count > 0; count--) {
    const at = random.below(lines.length)
    const parts = (lines[at] ?? '').split(' ')
    const part = random.below(parts.length)
    switch (random.below(9)) {
      case 0:
        parts.splice(part, 1)
        break
      case 1:
        parts.splice(part, 0, parts[part] ?? '')
        break
      case 2:
        parts[part] = random.pick(words)
        break
      case 3:
        parts.splice(part, 0, random.pick(words))
        break
      case 4:
        parts[part] = random.pick(HOSTILE_STRINGS)
        break
      case 5:
        parts[part] = (parts[part] ?? '').replace(/\d+/, random.pick(NUMBERS))
        break
      case 6:
        lines.splice(at, 1)
        continue
      case 7:
        lines.splice(random.below(lines.length), 0, lines[at] ?? '')
        continue
      default:
        parts[part] = lines[random.below(lines.length)]?.split(' ')[random.below(6)] ?? ''
    }
    lines[at] = parts.join(' ')
  }
  return lines.join('\n')
}

/** JSON text with values of other types, keys that clash, depth and length: JSON still, most of the time. */
export function mutateJson(text: string, random: RandomChoices): string {
  const raw: string[] = []
  const stand = (value: string): string => `@raw${raw.push(value) - 1}@`
  try {
    let root: unknown = JSON.parse(text)
    for (let count = random.pick([1, 1, 2, 6]); count > 0; count--) root = mutateValue(root, random, stand)
    const spelt = JSON.stringify(root).replaceAll(/"@raw(\d+)@"/g, (_, index: string) => raw[Number(index)] ?? '')
    return random.oneIn(12) ? spelt.replace('{', '{"metadata":7,"kind":[],"spec":null,') : spelt
  } catch {
    // No JSON, or too deep for the engine's own: hurt enough.
    return text
  }
}

function mutateValue(value: unknown, random: RandomChoices, stand: (raw: string) => string): unknown {
  if (typeof value !== 'object' || value === null || random.oneIn(12)) return hostileValue(value, random, stand)
  const choice = random.below(12)
  if (Array.isArray(value)) {
    const items = [...(value as readonly unknown[])]
    const at = random.below(items.length || 1)
    if (choice === 0) items.splice(at, 1)
    else if (choice === 1) items.splice(at, 0, items[at])
    else items[at] = mutateValue(items[at], random, stand)
    return items
  }
  const entries: [string, unknown][] = Object.entries(value)
  const at = random.below(entries.length || 1)
  const [key, inner] = entries[at] ?? ['spec', {}]
  if (choice === 0) entries.splice(at, 1)
  else if (choice === 1) entries[at] = [random.pick(HOSTILE_STRINGS), inner]
  else if (choice === 2) entries.push([random.pick(HOSTILE_STRINGS), hostileValue(inner, random, stand)])
  else entries[at] = [key, mutateValue(inner, random, stand)]
  // fromEntries defines `__proto__` as a key like any other, as JSON.parse does.
  return Object.fromEntries(entries)
}

function hostileValue(value: unknown, random: RandomChoices, stand: (raw: string) => string): unknown {
  const depth = random.pick([50, 500, 4500, 12_000])
  switch (random.below(13)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return random.pick(HOSTILE_STRINGS)
    case 4:
    case 5:
      return stand(random.pick(NUMBERS))
    case 6:
      return random.pick([null, true, false, [], {}, ''])
    case 7:
      return [value]
    case 8:
      return { [random.pick(['x', '__proto__', 'constructor', 'f:x'])]: value }
    case 9:
      return stand(`${'['.repeat(depth)}${']'.repeat(depth)}`)
    case 10:
      return stand(`${'{"f:a":'.repeat(depth)}1${'}'.repeat(depth)}`)
    case 11: {
      const part = `${JSON.stringify(value ?? {})},`
      const count = Math.min(random.pick([100, 60_000]), Math.ceil(1_000_000 / part.length))
      return stand(`[${part.repeat(count)}0]`)
    }
    default:
      return stand(`{${Array.from({ length: random.pick([100, 60_000]) }, (_, at) => `"k${at}":${at}`).join(',')}}`)
  }
}

const YAML_PARTS: readonly [string, ...string[]] = [
  'a: &a [1, *a]',
  'x: &x\n  <<: *x',
  '<<: [*a, *a]',
  'l0: &l0 [lol]\n' +
    Array.from({ length: 9 }, (_, at) => `l${at + 1}: &l${at + 1} [${`*l${at},`.repeat(10)}]`).join('\n'),
  '- !!binary "////"',
  'y: !!js/function "function(){}"',
  'y: !!set {a, b}',
  'y: !!timestamp 9999-99-99',
  'y: !<tag:yaml.org,2002:int> "99999999999999999999"',
  '? [complex, key]\n: value',
  '? {a: {b: c}}\n: {d: e}',
  '---',
  '...',
  '%YAML 9.9',
  '%TAG ! tag:x,2000:',
  '\ttab: 1',
  'text: |2-\n    x',
  'text: >+\n\n\n',
  `deep: ${'['.repeat(5000)}`,
  `deep: ${'{a: '.repeat(3000)}`,
  `${'- '.repeat(3000)}x`,
  Array.from({ length: 2000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
  Array.from({ length: 20_000 }, (_, at) => `k${at}: ${at}`).join('\n'),
  '---\n'.repeat(20_000),
  'kind: Service\nkind: Node',
  'on: off\nyes: .nan\nno: .inf',
  '"\\u001b[31m": "\\x07"',
  '__proto__: {kind: Service}',
  'constructor: {prototype: 1}',
  '&anchor',
  '*missing',
  '0x_: 0o17',
  'apiVersion: v1\nkind: List\nitems: &i [{kind: List, items: *i}]',
]

/** YAML with anchors, merges, tags, directives and depth where they are not looked for. */
export function mutateYaml(text: string, random: RandomChoices): string {
  const lines = text.split('\n')
  for (let count = random.pick([1, 1, 2, 4]); count > 0; count--) {
    const at = random.below(lines.length)
    const indent = /^ */.exec(lines[at] ?? '')?.[0] ?? ''
    const part = random.pick(YAML_PARTS).replaceAll('\n', `\n${indent}`)
    if (random.oneIn(3))
      lines[at] = (lines[at] ?? '').replace(
        /:.*/,
        `: ${random.pick(['&a *a', '*a', '!!int x', '[', '{', '"', '|', '.nan', '~', '0b2', '- -'])}`,
      )
    else lines.splice(at, 0, indent + part)
  }
  return lines.join('\n')
}

/** A recording with lines dropped, repeated, moved, or of other values. */
export function mutateRecording(text: string, random: RandomChoices): string {
  const lines = text.trimEnd().split('\n')
  for (let count = random.pick([1, 2, 5]); count > 0; count--) {
    const at = random.below(lines.length)
    const line = lines[at] ?? ''
    switch (random.below(10)) {
      case 0:
        lines.splice(at, 1)
        break
      case 1:
        lines.splice(random.below(lines.length), 0, line)
        break
      case 2:
        lines[at] = mutateBytes(Buffer.from(line), Buffer.from(lines[0] ?? ''), random).toString('latin1')
        break
      default:
        lines[at] = mutateJson(line, random)
    }
  }
  return `${lines.join('\n')}\n`
}

/** The same bytes behind gzip, whole or hurt, as an input may come. */
export const gzipped = (bytes: Buffer, random: RandomChoices): Buffer =>
  random.oneIn(2) ? gzipSync(bytes) : mutateBytes(gzipSync(bytes), bytes, random)
