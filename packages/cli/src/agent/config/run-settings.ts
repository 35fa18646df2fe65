import { parseGoDuration } from '@pointsman/core'
import { CliError } from '../../errors.js'
import { type FamilyChoice, interfaceAddressesOf } from '../../input/ruleset-options.js'
import type { VariantOptions } from '../../machine/iptables-option.js'
import type { AgentOptions, GoFlag } from './agent-options.js'

/** What is ours, and in no KubeProxyConfiguration: that one has to stay valid for kube-proxy. */
export interface RunSettings extends VariantOptions {
  /** The change log's file. */
  readonly log: string
  /** Retention; absent: none. */
  readonly logMaxAgeMs?: number
  readonly logMaxBytes?: number
  /** Without the API server, a state older than this is not programmed. Absent: any is. */
  readonly maxLogAgeAtStartMs?: number
  /** No rules are written. */
  readonly observe: boolean
  /** Absent: where nfacct(8) works. */
  readonly nfacct?: boolean
  /** Absent: the families of the node's addresses. */
  readonly family?: FamilyChoice
  readonly layout: 'current' | 'classic'
  /** Of the node's interfaces. Absent: they are looked at. */
  readonly interfaceAddresses?: readonly string[]
}

export const OWN_DEFAULTS = {
  log: '/var/lib/pointsman/log.db',
  logMaxAge: '168h',
  logMaxSize: '512Mi',
  maxLogAgeAtStart: '0',
} as const

/** CliError USAGE names the flag that is wrong. */
export function readRunSettings(options: AgentOptions, env: Readonly<Record<string, string | undefined>>): RunSettings {
  const logMaxAgeMs = readAge('--log-max-age', options.logMaxAge)
  const logMaxBytes = readSize('--log-max-size', options.logMaxSize)
  const maxLogAgeAtStartMs = readAge('--max-log-age-at-start', options.maxLogAgeAtStart)
  const nfacct = readGoFlag('--nfacct', options.nfacct)
  const interfaceAddresses = interfaceAddressesOf(options)
  return {
    log: options.log ?? (env['POINTSMAN_LOG'] || OWN_DEFAULTS.log),
    ...(logMaxAgeMs > 0 && { logMaxAgeMs }),
    ...(logMaxBytes > 0 && { logMaxBytes }),
    ...(maxLogAgeAtStartMs > 0 && { maxLogAgeAtStartMs }),
    observe: readGoFlag('--observe', options.observe) ?? false,
    ...(nfacct !== undefined && { nfacct }),
    ...(options.family !== undefined && { family: options.family }),
    layout: options.layout ?? 'current',
    iptablesVariant: options.iptablesVariant,
    ...(interfaceAddresses !== undefined && { interfaceAddresses }),
  }
}

/** Undefined where it is not given. */
export function readGoFlag(flag: string, value: GoFlag | undefined): boolean | undefined {
  if (value === undefined || value === true) return value
  if (/^(?:1|t|true)$/i.test(value)) return true
  if (/^(?:0|f|false)$/i.test(value)) return false
  throw new CliError('USAGE', `${flag} must be true or false, and is ${JSON.stringify(value)}`)
}

/** Milliseconds; 0: no limit. */
export function readAge(flag: string, text: string): number {
  const age = parseGoDuration(text)
  if (age !== undefined && age >= 0) return age
  throw new CliError('USAGE', `${flag} ${JSON.stringify(text)} is not a duration such as 168h or 30m`)
}

/** Bytes; 0: no limit. */
export function readSize(flag: string, text: string): number {
  const [, digits, unit = ''] = /^(\d+)([KMG]i)?$/.exec(text) ?? []
  if (digits !== undefined) return Number(digits) * (BYTES[unit] ?? 1)
  throw new CliError('USAGE', `${flag} ${JSON.stringify(text)} is not a size such as 512Mi, 2Gi or a number of bytes`)
}

const BYTES: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }
