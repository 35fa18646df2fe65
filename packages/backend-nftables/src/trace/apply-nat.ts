import { parseAddress } from '@pointsman/core'
import {
  type Applied,
  type Evaluated,
  masquerade,
  type NatRange,
  netmap,
  redirect,
  sourceTranslated,
  translate,
  type TranslationPlace,
  unchanged,
} from '@pointsman/core/trace'
import { formatExpression, formatStatement } from '../listing/format.js'
import type { Expression, Statement } from '../listing/model.js'

/** What a statement makes of a packet's addresses, once maps have said to which. */
export function applyNat(
  statement: Extract<Statement, { readonly type: 'nat' }>,
  { address, port }: { readonly address: Expression | undefined; readonly port: Expression | undefined },
  place: TranslationPlace,
): Evaluated<Applied> {
  const { kind, flags } = statement
  if (address?.type === 'prefix') return netmap(`${address.address}/${address.length}`, place)
  const range = natRange(address, port)
  if (range === undefined)
    return unchanged(place.packet, { type: 'hand-over', what: formatStatement(statement), outcome: 'end' })
  const isRandom = flags.includes('random') || flags.includes('fully-random')
  const newPort = isRandom || port !== undefined
  const to = [address, port].map((one) => (one === undefined ? '' : formatExpression(one))).join(':')
  switch (kind) {
    case 'dnat':
      return translate(range, { to, isRandom }, place)
    case 'redirect':
      return redirect(range.ports, place)
    case 'snat':
      return { value: sourceTranslated(place.packet, { to, range, newPort }) }
    case 'masquerade':
      return { value: masquerade(place, newPort) }
  }
}

/** What an address and a port are chosen from. Undefined: they are none that is known here. */
function natRange(address: Expression | undefined, port: Expression | undefined): NatRange | undefined {
  const ends = edgesOf(address)
  const ports = edgesOf(port)
  if (ends === undefined || ports === undefined) return undefined
  const [low, high] = ends.map((one) => (one === undefined ? undefined : parseAddress(String(one))?.text))
  if (address !== undefined && (low === undefined || high === undefined)) return undefined
  const [first, last] = ports.map(Number)
  return {
    low,
    high,
    ports: port === undefined || first === undefined || last === undefined ? undefined : { first, last },
  }
}

function edgesOf(of: Expression | undefined): readonly [low?: string | number, high?: string | number] | undefined {
  if (of === undefined) return []
  if (of.type === 'literal') return [of.value, of.value]
  if (of.type !== 'range' || of.low.type !== 'literal' || of.high.type !== 'literal') return undefined
  return [of.low.value, of.high.value]
}
