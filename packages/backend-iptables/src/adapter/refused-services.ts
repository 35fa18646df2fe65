import type { ServicePortName } from '@pointsman/core'
import { IptablesError, type IptablesErrorCode } from 'node-iptables'
import type { Wanted } from '../plan/changes-to.js'
import { chainOf, chainsOf } from '../plan/installed.js'

/** Whether iptables or the kernel refused the content of a restore, so that smaller parts of it may succeed. Any other failure is not about its content. */
export const isRefusal = (error: unknown): error is IptablesError =>
  error instanceof IptablesError && REFUSALS.has(error.code)

const REFUSALS: ReadonlySet<IptablesErrorCode> = new Set<IptablesErrorCode>([
  'RESTORE_FAILED',
  'NO_SUCH_CHAIN',
  'NO_SUCH_RULE',
  'NO_KERNEL_SUPPORT',
  'CHAIN_EXISTS',
  'CHAIN_IN_USE',
  'UNKNOWN_OPTION',
  'BAD_ARGUMENT',
])

/** The one of the service ports whose chain the refused line names. */
export function suspectOf(
  { restore }: IptablesError,
  wanted: Wanted,
  names: readonly ServicePortName[],
): ServicePortName | undefined {
  const chain = /^(?:-[AIDX] |:)(\S+)/.exec(restore?.line.text ?? '')?.[1]
  if (chain === undefined) return undefined
  const owner = [...wanted.services].find(([, service]) =>
    chainsOf(service).some(([key]) => chainOf(key) === chain),
  )?.[0]
  return owner !== undefined && names.includes(owner) ? owner : undefined
}
