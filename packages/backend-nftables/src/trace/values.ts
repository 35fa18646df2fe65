import { parseAddress } from '@pointsman/core'
import {
  addressOrder,
  allOf,
  anyOf,
  type Case,
  claimed,
  type Claim,
  type Finding,
  known,
  type Mark,
  negatedIf,
  judgeMark,
  networkOrder,
} from '@pointsman/core/trace'
import { formatExpression } from '../listing/format.js'
import type { Comparison, Expression } from '../listing/model.js'

/**
 * What an expression comes to for a packet. Values are compared as text of one length, as the kernel compares bytes: addresses as
 * hexadecimal digits, numbers as ten digits, names as they are.
 */
export type Value =
  | { readonly type: 'known'; readonly kind: ValueKind; readonly order: string; readonly told: string }
  /** A value that nobody knows: claims about it part the ways. */
  | {
      readonly type: 'unknown'
      readonly kind: ValueKind
      readonly claim: Omit<Claim, 'low' | 'high' | 'text'>
      readonly what: string
    }
  | { readonly type: 'mark'; readonly mark: Mark; readonly told: string }
  /** Several flags, or words that mean one thing: it is any of them. */
  | { readonly type: 'words'; readonly words: readonly string[]; readonly told: string }
  /** One of so many numbers, each as likely. */
  | {
      readonly type: 'chance'
      readonly first: number
      readonly count: number
      readonly assumption: Finding['assumption']
    }
  | { readonly type: 'concat'; readonly parts: readonly Value[] }
  /** Nothing is known of it: what is asked of it is a claim of its own. */
  | { readonly type: 'opaque'; readonly text: string; readonly code: Claim['code'] }
  /** The packet has no such thing, as an address of the other family: the rule does not match. */
  | { readonly type: 'absent'; readonly because: string }

export type ValueKind = 'address' | 'number' | 'name'

export const orderOf = (kind: ValueKind, value: string | number): string =>
  kind === 'number'
    ? String(value).padStart(10, '0')
    : kind === 'address' && parseAddress(String(value)) !== undefined
      ? addressOrder(String(value))
      : String(value)

export const numberValue = (value: number, told: string): Value => ({
  type: 'known',
  kind: 'number',
  order: orderOf('number', value),
  told,
})

export const nameValue = (value: string, told: string): Value => ({ type: 'known', kind: 'name', order: value, told })

export const addressValue = (value: string, told: string): Value => ({
  type: 'known',
  kind: 'address',
  order: addressOrder(value),
  told,
})

interface Range {
  readonly low: string
  readonly high: string
}

/** The values that a constant stands for. Undefined: it stands for none of this kind. */
function rangeOf(kind: ValueKind, constant: Expression): Range | undefined {
  switch (constant.type) {
    case 'literal': {
      const { value } = constant
      if (kind === 'number') {
        const number = typeof value === 'number' ? value : NUMBERS[value]
        return number === undefined ? undefined : single(orderOf(kind, number))
      }
      if (kind === 'address')
        return parseAddress(String(value)) === undefined ? undefined : single(addressOrder(String(value)))
      const name = String(value)
      return name.endsWith('*') ? { low: name.slice(0, -1), high: `${name.slice(0, -1)}\uFFFF` } : single(name)
    }
    case 'prefix':
      return kind === 'address' ? networkOrder(`${constant.address}/${constant.length}`) : undefined
    case 'range': {
      const low = rangeOf(kind, constant.low)
      const high = rangeOf(kind, constant.high)
      return low && high && { low: low.low, high: high.high }
    }
    case 'any':
      return { low: '', high: '\uFFFF' }
    case 'concat':
    case 'list':
    case 'set':
    case 'reference':
    case 'verdict':
    case 'field':
    case 'meta':
    case 'ct':
    case 'fib':
    case 'numgen':
    case 'hash':
    case 'binary':
    case 'map':
    case 'other':
      return undefined
  }
}

const single = (order: string): Range => ({ low: order, high: order })

/** Names that a listing can have for numbers, beside those of `/etc/services`. */
export const NUMBERS: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  'ipv6-icmp': 58,
  comp: 108,
  sctp: 132,
  udplite: 136,
  'echo-reply': 0,
  'destination-unreachable': 3,
  'echo-request': 8,
  ssh: 22,
  domain: 53,
  http: 80,
  https: 443,
}

/** Whether a value is what a constant stands for: one value, a range, or a list of flags. */
export function judgeConstant(value: Value, constant: Expression, supposed: Case | undefined): Finding {
  switch (value.type) {
    case 'absent':
      return known(false, value.because)
    case 'chance':
      return known(false, 'chance decides')
    case 'opaque':
      return claimOf(`${value.text} is ${formatExpression(constant)}`, value.code, supposed)
    case 'words': {
      if (constant.type === 'any') return known(true, value.told)
      const asked = constant.type === 'list' ? constant.items : [constant]
      const isOne = asked.some((one) => one.type === 'literal' && value.words.includes(String(one.value)))
      return known(isOne, value.told)
    }
    case 'mark': {
      const range = rangeOf('number', constant)
      if (range === undefined) return claimOf(`${value.told} is ${formatExpression(constant)}`, 'MARK', supposed)
      if (range.low === range.high || constant.type === 'any') {
        if (constant.type === 'any') return known(true, value.told)
        return judgeMark(
          { value: Number(range.low), mask: 0xff_ff_ff_ff },
          { mark: value.mark, what: 'the mark' },
          { supposed },
        )
      }
      if (value.mark.unknown !== 0)
        return claimOf(`${value.mark.of} is ${formatExpression(constant)}`, 'MARK', supposed)
      const at = orderOf('number', value.mark.value)
      return known(range.low <= at && at <= range.high, value.told)
    }
    case 'known': {
      const range = rangeOf(value.kind, constant)
      if (range === undefined) return known(false, value.told)
      if (value.kind === 'address' && constant.type !== 'any' && range.low.length !== value.order.length)
        return known(false, value.told)
      return known(range.low <= value.order && value.order <= range.high, value.told)
    }
    case 'unknown': {
      const range = rangeOf(value.kind, constant)
      if (range === undefined)
        return claimOf(`${value.what} is ${formatExpression(constant)}`, value.claim.code, supposed)
      if (constant.type === 'any') return known(true, `${value.what} is any`)
      return claimed({ ...value.claim, ...range, text: wordsOf(value, constant) }, supposed)
    }
    case 'concat': {
      if (constant.type === 'any') return known(true, 'anything is')
      const parts = constant.type === 'concat' ? constant.parts : [constant]
      return allOf(value.parts.map((part, at) => judgeConstant(part, parts[at] ?? { type: 'any' }, supposed)))
    }
  }
}

function wordsOf({ what }: { readonly what: string }, constant: Expression): string {
  const text = formatExpression(constant).replace(/^"(.*)"$/, '$1')
  return what.endsWith(' by')
    ? `${what} ${text.endsWith('*') ? `an interface ${text.slice(0, -1)}...` : text}`
    : `${what} is ${text}`
}

/** A claim that is about nothing else than itself. */
export const claimOf = (text: string, code: Claim['code'], supposed: Case | undefined): Finding =>
  claimed({ subject: text, low: '', high: '', code, text }, supposed)

/** Compares as the operator says. */
export function compare(
  value: Value,
  { operator, constants }: { readonly operator: Comparison; readonly constants: readonly Expression[] },
  supposed: Case | undefined,
): Finding {
  switch (operator) {
    case '!=':
    case '!':
      if (value.type === 'absent') return known(false, value.because)
      return negatedIf(true, anyOf(constants.map((one) => judgeConstant(value, one, supposed))))
    case '<':
    case '>':
    case '<=':
    case '>=':
      return compareOrder(value, { operator, constant: constants[0] ?? { type: 'any' } }, supposed)
    case '==':
    case 'in':
      return anyOf(constants.map((one) => judgeConstant(value, one, supposed)))
  }
}

function compareOrder(
  value: Value,
  { operator, constant }: { readonly operator: '<' | '>' | '<=' | '>='; readonly constant: Expression },
  supposed: Case | undefined,
): Finding {
  const number = constant.type === 'literal' && typeof constant.value === 'number' ? constant.value : undefined
  if (value.type === 'absent') return known(false, value.because)
  if (number === undefined) return claimOf(`${value.type} ${operator} ${formatExpression(constant)}`, 'MATCH', supposed)
  const low = operator === '<' || operator === '<=' ? 0 : operator === '>' ? number + 1 : number
  const high = operator === '<' ? number - 1 : operator === '<=' ? number : 0xff_ff_ff_ff
  if (high < low) return known(false, `nothing is ${operator} ${number}`)
  const range: Expression = {
    type: 'range',
    low: { type: 'literal', value: low },
    high: { type: 'literal', value: high },
  }
  if (value.type === 'opaque') return claimOf(`${value.text} is ${operator} ${number}`, value.code, supposed)
  return judgeConstant(value, range, supposed)
}
