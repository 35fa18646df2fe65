import { messageOf, shortList } from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import type { AgentLine } from '../agent-log.js'
import { type Damage, processText } from './damage.js'
import type { Observation } from './observe-rules.js'

/** What an observer says: once when the rules are in force, behind, wrong or not comparable, and once when that is over. */
export function createObservedLines(): (observation: Observation) => readonly AgentLine[] {
  let before: Observation | undefined
  return (now) => {
    const { at, inForce, arrived, behind, damage, incomparable, look, error } = now
    const lines: AgentLine[] = []
    if (inForce !== undefined && before?.inForce === undefined) {
      const of = look === undefined ? '' : ` (${countOf(look.rules, 'rule')}, layout ${look.layout})`
      lines.push(info(`rules in force as of seq ${inForce}${of}`))
    } else if (arrived.length > 0) {
      const slowest = arrived.reduce((most, { latencyMs }) => Math.max(most, latencyMs), 0)
      const what = countOf(arrived.length, 'change')
      lines.push(info(`rules in force as of seq ${inForce ?? ''}: ${what}, the slowest after ${seconds(slowest)}`, 2))
    }
    if (behind?.late === true && before?.behind?.late !== true)
      lines.push(
        warning(
          `the service proxy is behind since ${new Date(behind.since).toISOString()}: seq ${behind.seq} has not been in the rules for ${seconds(behind.forMs)}${inForce === undefined ? '' : `; they are as of seq ${inForce}`}`,
        ),
      )
    if (before?.behind?.late === true && behind?.late !== true)
      lines.push(
        info(
          `the service proxy has caught up after ${seconds(at - before.behind.since)}: rules in force as of seq ${inForce ?? ''}`,
        ),
      )
    if (damage !== undefined && before?.damage?.texts.join() !== damage.texts.join())
      lines.push(warning(damageText(damage)))
    if (damage === undefined && before?.damage !== undefined) lines.push(info(rightText(before.damage, at)))
    if (incomparable !== undefined && before?.incomparable !== incomparable)
      lines.push(warning(`not compared as given: ${incomparable}`))
    if (error !== undefined && before?.error === undefined)
      lines.push(warning(`the rules cannot be read: ${messageOf(error)}`))
    // What no look was made for is as it was.
    before =
      look === undefined && error === undefined
        ? { ...now, ...(before?.error !== undefined && { error: before.error }) }
        : now
    return lines
  }
}

/** `the rules are wrong: IPv4 nat KUBE-SERVICES: 3 missing rules (shop/web:http); tables were changed by iptables (process 4711)` */
export function damageText({ texts, by }: Damage): string {
  const who = by.length === 0 ? '' : `; tables were changed meanwhile by ${by.map(processText).join(', ')}`
  return `the rules are wrong: ${shortList(texts, MAX_SHOWN)}${who}`
}

export const rightText = ({ since }: Damage, at: number): string =>
  `the rules are right again, after ${seconds(at - since)}`

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

const MAX_SHOWN = 5
const info = (message: string, verbosity = 0): AgentLine => ({ level: 'info', message, verbosity })
const warning = (message: string): AgentLine => ({ level: 'warn', message, verbosity: 0 })
