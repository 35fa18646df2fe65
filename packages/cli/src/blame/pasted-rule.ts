import { IptablesParseError, parseRestoreLine, type Rule } from 'node-iptables'
import { CliError } from '../errors.js'

export interface PastedRule {
  readonly chain: string
  readonly rule: Rule
}

/**
 * A rule as iptables-save prints it, with or without `-A` and counters, as people paste it. CliError USAGE for what is none.
 */
export function parsePastedRule(text: string): PastedRule {
  const trimmed = text.trim()
  const line = /^(?:\[|-A )/.test(trimmed) ? trimmed : `-A ${trimmed}`
  try {
    const parsed = parseRestoreLine(line)
    if (parsed.type === 'append') return { chain: parsed.chain, rule: parsed.rule }
  } catch (error) {
    if (!(error instanceof IptablesParseError)) throw error
    throw notARule(trimmed, error.message)
  }
  throw notARule(trimmed, 'it appends none')
}

const notARule = (text: string, why: string): CliError =>
  new CliError(
    'USAGE',
    `${JSON.stringify(text)} is no rule (${why}): paste a line of iptables-save, such as '-A KUBE-SERVICES -d 10.96.0.10/32 ...'`,
  )
