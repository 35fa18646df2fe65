import type { Finding, Judged } from '@pointsman/core/trace'
import { formatExpression } from '../listing/format.js'
import { isDenial, type Statement } from '../listing/model.js'
import { chanceFinding, keyTold, partMissing, toldOf } from './conditions.js'
import { indexOf, keyOf, lookUp } from './look-up.js'
import { NO_ELEMENTS, type WalkedTable } from './nft-tables.js'
import { valueOf } from './read-packet.js'
import { claimOf, compare, judgeConstant, type Value } from './values.js'

export type Match = Extract<Statement, { readonly type: 'match' }>

interface Asked {
  readonly table: WalkedTable
  readonly judged: Judged
}

/** Whether a packet is as a statement asks. */
export function judgeMatch({ left, operator, right }: Match, asked: Asked): Finding {
  const { supposed } = asked.judged
  const value = valueOf(left, asked.judged)
  if (value.type === 'absent') return { holds: false, because: value.because }
  if (isExact({ left, operator, right }, value))
    return claimOf(`${formatExpression(left)} ${operator} ${formatExpression(right)} holds`, 'MATCH', supposed)
  if (value.type === 'chance') return chanceFinding(value, operator, right)
  if (right.type === 'reference') {
    const found = isIn(right.name, value, asked)
    return isDenial(operator) ? { ...found, holds: found.unknown === undefined ? !found.holds : found.holds } : found
  }
  const constants = right.type === 'set' ? right.elements.map(({ key }) => key) : [right]
  if (right.type === 'set' && (keyOf(value) !== undefined || constants.length > MOST_TRIED)) {
    const found = lookUp(value, indexOf(right.elements), supposed)
    if ('unknown' in found)
      return { holds: true, because: `it is not known whether ${found.unknown.text}`, unknown: found.unknown }
    const isThere = found.found[0]?.element !== undefined
    return { holds: isDenial(operator) ? !isThere : isThere, because: toldOf(value) }
  }
  return compare(value, { operator, constants }, supposed)
}

/** Whether a set has a value. Of a set that packets are put into, that depends on those before. */
function isIn(name: string, value: Value, { table, judged }: Asked): Finding {
  const set = table.sets.get(name)
  const missing = partMissing(value)
  if (missing !== undefined) return { holds: false, because: missing }
  const found = lookUp(value, indexOf(set?.elements ?? NO_ELEMENTS), judged.supposed)
  if ('unknown' in found)
    return { holds: true, because: `it is not known whether ${found.unknown.text}`, unknown: found.unknown }
  const element = found.found[0]?.element
  const told = keyTold(value)
  if (!table.dynamic.has(name))
    return {
      holds: element !== undefined,
      because: element === undefined ? `${told} is not in it` : `${told} is in it`,
    }
  const key = keyOf(value) ?? told
  const change = judged.packet.setChanges.find((one) => one.set === `${table.name} ${name}` && one.element === key)
  if (change !== undefined) return { holds: change.isIn, because: `${told} was put there just now` }
  if (element !== undefined) return { holds: true, because: `${told} was in it when the rules were listed` }
  const { affinity } = judged.surroundings
  if (affinity === undefined) {
    const message = `${told} is taken to be a new client: in no set that packets are put into`
    return { holds: false, because: 'it is taken to be a new client', assumption: { code: 'NEW_CLIENT', message } }
  }
  const entry = affinity.find((one) => one.list === name && one.address === told)
  if (entry === undefined) return { holds: false, because: `${told} is not in it` }
  const { secondsAgo = 0 } = entry
  const isOld = set?.timeoutSeconds !== undefined && secondsAgo > set.timeoutSeconds
  return { holds: !isOld, because: `${told} was put there ${secondsAgo} s ago` }
}

/** Elements of a set in a rule that are tried one by one, so that a person is told which. */
const MOST_TRIED = 64

/**
 * Whether all flags count, of which those that the rule does not name are not known: after a mask, a list is all of its flags and none of the
 * mask's others; conntrack's status is compared with all that a connection has been through.
 */
function isExact({ left, operator, right }: Omit<Match, 'type'>, value: Value): boolean {
  if (left.type === 'binary' && right.type === 'list') return true
  if (left.type !== 'ct' || left.key !== 'status' || (operator !== '==' && operator !== '!=')) return false
  // A status without a flag that is asked for is another.
  const asked = right.type === 'set' ? right.elements.map(({ key }) => key) : [right]
  return asked.some((one) => judgeConstant(value, one, undefined).holds)
}
