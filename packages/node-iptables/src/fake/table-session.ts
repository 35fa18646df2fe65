import type { Variant } from '../capabilities.js'
import { applyOperation } from './apply-operation.js'
import type { KernelTable } from './kernel-table.js'
import type { Operation } from './operation.js'
import type { KernelRefusal, Refusal } from './refusal.js'
import { invalidIn } from './validate-table.js'
import type { AddedRule } from './validate-table.js'

/** A refusal, and the line that is named for it. */
export interface RefusedAt {
  readonly refusal: Refusal
  readonly line: number
}

/** What happens to one table between its line and its COMMIT. Once something is refused, nothing of it is left. */
export interface TableSession {
  /** Takes one line's change. */
  readonly add: (operation: Operation, line: number) => RefusedAt | undefined
  readonly commit: (line: number) => RefusedAt | undefined
  /** Takes back what was not committed. */
  readonly giveUp: () => void
}

export interface TableSessionOptions {
  readonly variant: Variant
  readonly noflush: boolean
}

/** nft gathers the lines and runs them all at COMMIT; legacy runs each as it comes, and the kernel looks at COMMIT. */
export function tableSession(table: KernelTable, options: TableSessionOptions): TableSession {
  return options.variant === 'nft' ? nftSession(table, options) : legacySession(table, options)
}

interface NumberedOperation {
  readonly operation: Operation
  readonly line: number
}

function nftSession(table: KernelTable, options: TableSessionOptions): TableSession {
  const operations: NumberedOperation[] = []
  const { variant } = options

  /** The first thing that the kernel has against it; what iptables itself says comes before all of that. */
  const applyAll = (commitLine: number): RefusedAt | undefined => {
    let first: RefusedAt | undefined
    for (const { operation, line } of operations) {
      const refusal = applyOperation(table, operation, options)
      if (refusal?.type === 'kernel') first ??= { refusal, line }
      else if (refusal !== undefined) return { refusal, line: refusal.type === 'usage' ? commitLine : line }
    }
    return first
  }

  /** The kernel goes through it again to find the first rule that makes the table a wrong one. */
  const firstInvalid = (): RefusedAt | undefined => {
    table.rollBack()
    for (const { operation, line } of operations) {
      applyOperation(table, operation, options)
      const invalid = invalidIn(table, { added: addedBy(table, operation), variant })
      if (invalid !== undefined) return { refusal: kernelRefusal(operation, invalid), line }
    }
    return undefined
  }

  return {
    add: (operation, line) => {
      operations.push({ operation, line })
      return undefined
    },
    commit: (line) => {
      const refused = applyAll(line)
      if (refused !== undefined) {
        table.rollBack()
        return refused
      }
      const added = operations.flatMap(({ operation }) => addedBy(table, operation))
      const invalid = invalidIn(table, { added, variant }) === undefined ? undefined : firstInvalid()
      if (invalid === undefined) table.keep()
      else table.rollBack()
      return invalid
    },
    giveUp: () => undefined,
  }
}

function legacySession(table: KernelTable, options: TableSessionOptions): TableSession {
  let refusedByKernel: KernelRefusal | undefined
  let changesWay = false

  return {
    add: (operation, line) => {
      changesWay ||= operation.type !== 'chain' && operation.type !== 'new-chain' && operation.type !== 'policy'
      const refusal = applyOperation(table, operation, options)
      if (refusal === undefined) return undefined
      if (refusal.type === 'kernel') {
        refusedByKernel ??= refusal
        return undefined
      }
      table.rollBack()
      return { refusal, line }
    },
    commit: (line) => {
      const invalid = changesWay ? invalidIn(table, { added: [], variant: 'legacy' }) : undefined
      const refusal =
        refusedByKernel ?? (invalid === undefined ? undefined : kernelRefusal({ type: 'flush-table' }, invalid))
      if (refusal === undefined) {
        table.keep()
        return undefined
      }
      table.rollBack()
      return { refusal, line }
    },
    giveUp: () => table.rollBack(),
  }
}

function addedBy(table: KernelTable, operation: Operation): readonly AddedRule[] {
  if (operation.type !== 'append' && operation.type !== 'insert') return []
  const chain = table.chains.get(operation.chain)
  return chain === undefined ? [] : [{ chain, rule: operation.rule.kernelRule }]
}

const kernelRefusal = (operation: Operation, invalid: 'loop' | 'hook'): KernelRefusal => ({
  type: 'kernel',
  step: operation.type === 'insert' ? 'RULE_INSERT' : 'RULE_APPEND',
  reason: invalid === 'loop' ? 'Too many links' : 'Invalid argument',
  object: `rule in chain ${'chain' in operation ? (operation.chain ?? '') : ''}`,
})
