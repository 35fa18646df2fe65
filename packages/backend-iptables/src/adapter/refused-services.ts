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

/** Two groups, of which the second is tried first: all but the service port that was refused, where it can be identified. */
export function splitGroup(
  group: readonly ServicePortName[],
  refused: { readonly refusal: IptablesError; readonly wanted: Wanted },
): readonly ServicePortName[][] {
  const suspect = suspectOf(refused)
  if (suspect !== undefined && group.includes(suspect))
    return [[suspect], group.filter((name) => name !== suspect)].filter(({ length }) => length > 0)
  const half = Math.ceil(group.length / 2)
  return [group.slice(half), group.slice(0, half)].filter(({ length }) => length > 0)
}

/** The service port whose chain the refused line names. */
function suspectOf({
  refusal: { restore },
  wanted,
}: {
  readonly refusal: IptablesError
  readonly wanted: Wanted
}): ServicePortName | undefined {
  const chain = /^(?:-[AIDX] |:)(\S+)/.exec(restore?.line.text ?? '')?.[1]
  if (chain === undefined) return undefined
  return [...wanted.services].find(([, service]) => chainsOf(service).some(([key]) => chainOf(key) === chain))?.[0]
}
