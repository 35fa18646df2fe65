import { type Condition, isCertain, isImpossible } from '@pointsman/core'
import type { Finding, PacketState } from '@pointsman/core/trace'
import { type Comparison, type Expression, isDenial, type Statement } from '../listing/model.js'
import { countIn, share } from './look-up.js'
import type { Value } from './values.js'

/** Whether a number that chance decides is what it is compared with. */
export function chanceFinding(
  value: Extract<Value, { readonly type: 'chance' }>,
  operator: Comparison,
  right: Expression,
): Finding {
  const constants = right.type === 'set' ? right.elements.map(({ key }) => key) : [orderRange(operator, right)]
  const count = constants.reduce((sum, one) => sum + countIn(value, one), 0)
  const isDenied = isDenial(operator)
  const odds = share(isDenied ? value.count - count : count, value.count)
  if (isCertain(odds) || isImpossible(odds)) return { holds: isCertain(odds), because: 'no chance is in it' }
  return { holds: true, because: 'chance decides', odds, assumption: value.assumption }
}

function orderRange(operator: Comparison, right: Expression): Expression {
  const number = right.type === 'literal' ? Number(right.value) : Number.NaN
  if (Number.isNaN(number)) return right
  const range = (low: number, high: number): Expression => ({
    type: 'range',
    low: { type: 'literal', value: low },
    high: { type: 'literal', value: high },
  })
  switch (operator) {
    case '<':
      return range(0, number - 1)
    case '<=':
      return range(0, number)
    case '>':
      return range(number + 1, 2 ** 32)
    case '>=':
      return range(number, 2 ** 32)
    case '==':
    case '!=':
    case '!':
    case 'in':
      return right
  }
}

/** Why a packet has no such value: then no set has it. Undefined: it has. */
export const partMissing = (value: Value): string | undefined =>
  value.type === 'absent'
    ? value.because
    : value.type === 'concat'
      ? value.parts.map(partMissing).find((because) => because !== undefined)
      : undefined

/** What a condition is about, for a person who looks for the packet's own address and port. */
export function aboutOf(statement: Statement, { destination }: PacketState): Pick<Condition, 'field' | 'value'> {
  const asked = statement.type === 'match' ? statement.left : statement.type === 'vmap' ? statement.key : undefined
  const [first] = asked?.type === 'concat' ? asked.parts : [asked]
  if (first?.type === 'field' && first.name === 'daddr') {
    const isHost = statement.type === 'match' && statement.right.type === 'literal' && !isDenial(statement.operator)
    return { field: 'destination', ...(isHost && { value: destination }) }
  }
  if (first?.type === 'field' && first.name === 'saddr') return { field: 'source' }
  if (first?.type === 'field' && first.name === 'dport') return { field: 'port' }
  if (first?.type === 'meta' && first.key === 'l4proto') return { field: 'protocol' }
  return first?.type === 'meta' && /^[io]if/.test(first.key) ? { field: 'interface' } : { field: 'other' }
}

export const toldOf = (value: Value): string => ('told' in value ? value.told : keyTold(value))

/** `10.96.0.10 . tcp . 53`, as far as it is known. */
export function keyTold(value: Value): string {
  switch (value.type) {
    case 'concat':
      return value.parts.map(keyTold).join(' . ')
    case 'known':
    case 'mark':
    case 'words':
      return value.told.replace(/^.* (?:is|by) (\S+)$/, '$1')
    case 'unknown':
      return value.what
    case 'chance':
    case 'opaque':
    case 'absent':
      return 'it'
  }
}
