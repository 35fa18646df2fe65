import { type Endpoint, endpointKey, type Front, type FrontPath, type ServicePort } from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { type Column, renderTable } from '../output/table.js'

/** A line a front: what is sent to it, and where the rules lead that. The answer before the rules that give it. */
export function frontLines(port: ServicePort, ways: readonly FrontPath[], style: Style): readonly string[] {
  const columns: readonly Column<FrontPath>[] = [
    { title: '', cell: ({ front }) => FRONTS[front.type] },
    { title: '', cell: ({ front }) => placeOf(front) },
    { title: '', cell: (way) => `-> ${wayText(way, style)}` },
  ]
  const [, ...lines] = renderTable(columns, ways, { indent: '  ' })
  return [style.bold(titleOf(port)), ...lines]
}

/** `shop/checkout:http TCP`. */
export const titleOf = ({ service, portName, protocol }: ServicePort): string =>
  `${service}${portName === '' ? '' : `:${portName}`} ${protocol}`

const FRONTS: { readonly [type in Front['type']]: string } = {
  clusterIP: 'cluster IP',
  externalIP: 'external IP',
  loadBalancerIP: 'load balancer',
  nodePort: 'node port',
}

const placeOf = ({ address, port }: Front): string =>
  address === undefined ? String(port) : endpointKey({ address, port })

function wayText({ endpoints, refused, fromHere, sourceRanges }: FrontPath, style: Style): string {
  const where = refused === undefined ? spreadText(endpoints) : style.red(REFUSED[refused])
  const from = sourceRanges === undefined ? '' : `, from ${sourceRanges.join(', ')} alone`
  const here =
    fromHere === undefined
      ? ''
      : `; from this node${fromHere.pods ? ' and from pods' : ''} ${spreadText(fromHere.endpoints)}`
  return `${where}${from}${here}`
}

const REFUSED = {
  rejected: 'rejected: no endpoints',
  dropped: 'dropped: no endpoints on this node',
} as const

/** More are counted. */
const MOST = 4

function spreadText(endpoints: readonly Endpoint[]): string {
  const count = endpoints.length
  const shown = endpoints.slice(0, MOST).map(endpointKey).join(', ')
  const rest = count > MOST ? ` and ${count - MOST} more` : ''
  const share = count > 1 ? ` (${percent(1 / count)} each)` : ''
  return count === 0 ? 'none' : `${shown}${rest}${share}`
}

/** `50%`, `33.3%`. */
export const percent = (share: number): string => `${Number((share * 100).toPrecision(3))}%`
