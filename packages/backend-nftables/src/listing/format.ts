import { assertNever } from '@pointsman/core'
import type { Expression, NftElement, NftRule, Statement } from './model.js'

/** A rule as nft lists it, without its comment. */
export const formatRule = ({ statements }: NftRule): string => statements.map(formatStatement).join(' ')

export function formatStatement(statement: Statement): string {
  switch (statement.type) {
    case 'match': {
      const { left, operator, right } = statement
      // A mask needs its operator, or it would be taken for another value.
      const isSaid = operator === '==' ? left.type === 'binary' : operator !== 'in'
      return [formatExpression(left), ...(isSaid ? [operator] : []), comparedText(left, right)].join(' ')
    }
    case 'verdict':
      return verdictText(statement)
    case 'vmap':
      return `${formatExpression(statement.key)} vmap ${formatExpression(statement.map)}`
    case 'assign':
      return `${formatExpression(statement.to)} set ${formatExpression(statement.value)}`
    case 'counter': {
      const { name, packets, bytes } = statement
      if (name !== undefined) return `counter name ${quoted(name)}`
      return packets === undefined ? 'counter' : `counter packets ${packets} bytes ${bytes ?? 0}`
    }
    case 'nat':
      return natText(statement)
    case 'reject':
      return statement.with === undefined ? 'reject' : `reject with ${statement.with}`
    case 'update': {
      const { operation, set, element, statements } = statement
      const inner = [elementText({ ...element, data: undefined }), ...statements.map(formatStatement)].join(' ')
      const data = element.data === undefined ? '' : ` : ${formatExpression(element.data)}`
      return `${operation} @${set} { ${inner}${data} }`
    }
    case 'queue':
      return [
        'queue',
        ...(statement.flags.length === 0 ? [] : ['flags', statement.flags.join(',')]),
        'to',
        statement.queue,
      ].join(' ')
    case 'notrack':
      return 'notrack'
    case 'limit':
      return `limit ${statement.text}`
    case 'xt':
      return `xt ${quoted(statement.name)}`
    case 'opaque':
    case 'aside':
    case 'other':
      return statement.text
    default:
      return assertNever(statement)
  }
}

type NatStatement = Extract<Statement, { readonly type: 'nat' }>

function natText({ kind, family, address, port, flags }: NatStatement): string {
  const words: string[] = [kind]
  if (family !== undefined) words.push(family)
  if (address !== undefined || port !== undefined) words.push('to', targetText(address, port))
  if (flags.length > 0) words.push(flags.join(','))
  return words.join(' ')
}

function targetText(address: Expression | undefined, port: Expression | undefined): string {
  const ports = port === undefined ? '' : `:${formatExpression(port)}`
  if (address === undefined) return ports
  const text = formatExpression(address)
  if (port === undefined || !text.includes(':') || (address.type !== 'literal' && address.type !== 'range'))
    return `${text}${ports}`
  return `${text
    .split('-')
    .map((one) => `[${one}]`)
    .join('-')}${ports}`
}

const verdictText = ({ verdict, chain }: { readonly verdict: string; readonly chain?: string }): string =>
  chain === undefined ? verdict : `${verdict} ${chain}`

export function formatExpression(expression: Expression): string {
  switch (expression.type) {
    case 'literal':
      return literalText(expression.value)
    case 'prefix':
      return `${expression.address}/${expression.length}`
    case 'range':
      return `${formatExpression(expression.low)}-${formatExpression(expression.high)}`
    case 'any':
      return '*'
    case 'concat':
      return expression.parts.map(formatExpression).join(' . ')
    case 'list':
      return expression.items.map(formatExpression).join(',')
    case 'set': {
      const [first, ...more] = expression.elements.slice(0, MOST_TOLD)
      if (first === undefined) return '{ }'
      const dots = expression.elements.length > MOST_TOLD ? [`... ${expression.elements.length} in all`] : []
      return `{ ${[...[first, ...more].map(elementText), ...dots].join(', ')} }`
    }
    case 'reference':
      return `@${expression.name}`
    case 'verdict':
      return verdictText(expression)
    case 'field':
      return `${expression.header} ${expression.name}`
    case 'meta':
      return BARE.has(expression.key) ? expression.key : `meta ${expression.key}`
    case 'ct':
      return ['ct', expression.direction, expression.family, expression.key]
        .filter((word) => word !== undefined)
        .join(' ')
    case 'fib':
      return `fib ${expression.flags.join(' . ')} ${expression.result}`
    case 'numgen':
      return `numgen ${expression.mode} mod ${expression.mod}${expression.offset === 0 ? '' : ` offset ${expression.offset}`}`
    case 'hash': {
      const { of, mod, offset, seed } = expression
      const head = of === undefined ? 'symhash' : `jhash ${formatExpression(of)}`
      const rest = `${seed === undefined ? '' : ` seed 0x${seed.toString(16)}`}${offset === 0 ? '' : ` offset ${offset}`}`
      return `${head} mod ${mod}${rest}`
    }
    case 'binary':
      return `${formatExpression(expression.left)} ${expression.operator} ${maskText(expression)}`
    case 'map':
      return `${formatExpression(expression.key)} map ${formatExpression(expression.map)}`
    case 'other':
      return expression.text
    default:
      return assertNever(expression)
  }
}

/** Elements of an anonymous set that a line names. */
const MOST_TOLD = 64

/** What a masked mark is compared with is spelled as the mask. */
const comparedText = (left: Expression, right: Expression): string =>
  left.type === 'binary' ? maskText({ ...left, right }) : formatExpression(right)

/** Marks are listed as eight hexadecimal digits. */
const maskText = ({ left, right }: Extract<Expression, { readonly type: 'binary' }>): string =>
  right.type === 'literal' && typeof right.value === 'number' && !isField(left)
    ? `0x${right.value.toString(16).padStart(8, '0')}`
    : formatExpression(right)

const isField = (expression: Expression): boolean => expression.type === 'field'

/** Keys of `meta` that nft lists without it. */
export const BARE: ReadonlySet<string> = new Set(['iif', 'oif', 'iifname', 'oifname'])

function elementText({
  key,
  data,
  comment,
  timeoutSeconds,
}: { readonly [name in keyof NftElement]: NftElement[name] | undefined } & Pick<NftElement, 'key'>): string {
  const words = [
    formatExpression(key),
    ...(timeoutSeconds === undefined ? [] : [`timeout ${timeoutSeconds}s`]),
    ...(comment === undefined ? [] : [`comment ${quoted(comment)}`]),
    ...(data === undefined ? [] : [':', formatExpression(data)]),
  ]
  return words.join(' ')
}

export const quoted = (text: string): string => `"${text}"`

const literalText = (value: string | number): string =>
  typeof value === 'number' ? String(value) : /^[\w.:/+-]*[a-z_:.][\w.:/+-]*$/i.test(value) ? value : quoted(value)
