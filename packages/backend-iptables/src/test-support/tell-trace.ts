import {
  type Effect,
  type End,
  type Odds,
  oddsToNumber,
  type Step,
  type Supposition,
  type Surroundings,
  type Trace,
  type TracedPacket,
} from '@pointsman/core'
import { parseSave } from 'node-iptables'
import { tracePacket } from '../trace/trace-packet.js'

export interface TracedCase extends Partial<TracedPacket>, Partial<Surroundings> {
  /** Without it, every table that rules name: `nat PREROUTING -j X`, a rule a line, chains as they are named. */
  readonly rules: readonly string[]
  readonly everyRule?: boolean
}

/** Traces `tcp 10.244.1.5 -> 10.96.0.10:80` from a pod, or what the case says instead. The node is 192.168.55.10. */
export function traceOf({
  rules,
  nodeAddresses = ['192.168.55.10'],
  maybeNodeAddresses,
  affinity,
  interfaces,
  ipsets,
  everyRule,
  ...packet
}: TracedCase): Trace {
  return tracePacket({
    tables: parseSave(saveOf(rules)),
    surroundings: { nodeAddresses, maybeNodeAddresses, affinity, interfaces, ipsets },
    everyRule,
    packet: {
      protocol: 'tcp',
      source: '10.244.1.5',
      destination: '10.96.0.10',
      destinationPort: 80,
      from: packet.source === '192.168.55.10' ? 'node' : 'pod',
      ...packet,
    },
  })
}

/** `10.244.1.9:8080 1/2 MASQUERADE 192.168.55.10`, `dropped by filter FORWARD 1`: what a way comes to, each with its odds. */
export const endsOf = (trace: Trace): readonly string[] =>
  trace.ways.map(
    ({ end, odds, when }) => `${endText(end)}${share(odds)}${when === undefined ? '' : ` if ${whenText(when)}`}`,
  )

/** `it arrives by eth0 and not the source port is 80: dropped by filter FORWARD 1`: what it comes to in each case. */
export const casesTold = ({ cases = [] }: Trace): readonly string[] =>
  cases.map(
    ({ when, ends }) =>
      `${whenText([when])}: ${ends.map(({ end, odds }) => `${endText(end)}${share(odds)}`).join(', ')}`,
  )

const whenText = (when: readonly (readonly Supposition[])[]): string =>
  when.map((all) => all.map(({ text, holds }) => `${holds ? '' : 'not '}${text}`).join(' and ')).join(' or ')

export function endText(end: End): string {
  switch (end.fate) {
    case 'endpoints':
    case 'no-service': {
      const { rewritten, address } = end.source
      const seen = rewritten === 'no' ? '' : ` ${rewritten}${address === undefined ? '' : ` ${address}`}`
      return `${end.fate === 'no-service' ? 'untouched ' : ''}${end.address}:${end.port}${seen}`
    }
    case 'rejected':
      return `rejected with ${end.with} by ${placeText(end.by)}`
    case 'dropped':
      return `dropped by ${placeText(end.by)}`
    case 'depends':
      return `${end.on} decides`
  }
}

const placeText = ({ table, chain, number }: { table: string; chain: string; number?: number | undefined }): string =>
  `${table} ${chain} ${number ?? 'policy'}`

/** The steps of one way, a line each. */
export const stepsTold = (trace: Trace, way = 0): readonly string[] => (trace.ways[way]?.steps ?? []).map(stepText)

export function stepText(step: Step): string {
  switch (step.type) {
    case 'table':
      return `${step.hook} ${step.table}`
    case 'unasked':
      return `${step.hook} ${step.table} is not asked: ${step.because}`
    case 'routing':
      return `routed to ${step.to}: ${step.because}`
    case 'policy':
      return `policy ${step.policy}`
    case 'conntrack':
      return `conntrack: ${effectText(step.effect)}`
    case 'joined':
      return `${indent(step.depth)}${step.chain} joined`
    case 'again':
      return `${indent(step.depth)}${step.chain} as before`
    case 'passed': {
      const missed = step.missed.map(({ number, conditions }) => {
        const failed = conditions.filter(({ holds }) => !holds)
        return ` [${number}: ${failed.map(({ text, because }) => `${text}, but ${because}`).join('; ')}]`
      })
      return `${indent(step.depth)}${step.chain} ${step.first}-${step.last} passed${share(step.odds)}${missed.join('')}`
    }
    case 'rule': {
      const { chain, number, rule, odds, effect } = step
      return `${indent(step.depth)}${chain} ${number}${share(odds)} ${rule.line.slice(`-A ${chain} `.length)} => ${effectText(effect)}`
    }
  }
}

function effectText(effect: Effect): string {
  switch (effect.type) {
    case 'jump':
    case 'goto':
      return `${effect.type} ${effect.chain} of ${effect.rules}`
    case 'mark':
      return `mark ${effect.from.toString(16)} to ${effect.to.toString(16)}`
    case 'dnat':
      return `to ${effect.address}:${effect.port}`
    case 'snat':
      return `from ${effect.address ?? 'the node'}`
    case 'reject':
      return `reject with ${effect.with}`
    case 'hand-over':
      return `to ${effect.what}, then ${effect.outcome}`
    case 'continue':
      return `${effect.what}, and on`
    case 'return':
    case 'accept':
    case 'drop':
    case 'untracked':
      return effect.type
  }
}

const indent = (depth: number): string => '  '.repeat(depth)

function share(odds: Odds): string {
  const number = oddsToNumber(odds)
  if (number === 1) return ''
  const whole = 1 / number
  return Math.abs(whole - Math.round(whole)) < 1e-6 ? ` 1/${Math.round(whole)}` : ` ${(number * 100).toFixed(1)}%`
}

function saveOf(rules: readonly string[]): string {
  const tables = new Map<string, { readonly chains: Map<string, string>; readonly rules: string[] }>()
  for (const line of rules) {
    const [table = '', chain = '', ...words] = line.split(' ')
    const found = tables.get(table) ?? { chains: new Map<string, string>(), rules: [] }
    tables.set(table, found)
    const isPolicy = words[0] === 'policy'
    const builtIn = BUILT_IN.has(chain)
    if (isPolicy || !found.chains.has(chain))
      found.chains.set(chain, isPolicy ? (words[1] ?? '') : builtIn ? 'ACCEPT' : '-')
    if (!isPolicy && words.length > 0) found.rules.push(`-A ${chain} ${words.join(' ')}`)
  }
  return [...tables]
    .flatMap(([table, found]) => [
      `*${table}`,
      ...[...found.chains].map(([chain, policy]) => `:${chain} ${policy} [0:0]`),
      ...found.rules,
      'COMMIT',
    ])
    .join('\n')
}

const BUILT_IN = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])
