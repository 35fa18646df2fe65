import type { SliceReason } from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { type Column, cutText, renderTable } from '../../output/table.js'
import type { Style } from '../../output/terminal.js'
import type { Explanation, PortExplanation } from './answer.js'

/** Why a service port has no endpoint: what is wrong with its slices, else what its selector selects. */
export function noEndpointLines(port: PortExplanation, explanation: Explanation, style: Style): readonly string[] {
  const { findings } = port.slices
  const wrong = findings.filter(({ reason }) => reason !== 'NO_ENDPOINTS' && !STALE.has(reason))
  if (wrong.length === 0) return [`  ${style.red('no endpoint is listed')}: ${noEndpointText(port, explanation)}`]
  const title = wrong.every(({ reason }) => UNLABELLED.has(reason))
    ? 'no endpoint is listed'
    : 'no endpoint can be used'
  const [first, ...others] = wrong.map(({ message }) => message)
  return [`  ${style.red(title)}: ${first ?? ''}`, ...others.map((message) => `    ${message}`)]
}

/** Findings that are no reason for a port without endpoints. */
export const STALE: ReadonlySet<SliceReason> = new Set(['EARLIER_SERVICE', 'MIRRORED', 'NO_SELECTOR'])
const UNLABELLED: ReadonlySet<SliceReason> = new Set(['NO_SERVICE_LABEL', 'OTHER_SERVICE_LABEL'])

function noEndpointText(port: PortExplanation, explanation: Explanation): string {
  const { slices } = port
  const { selector, pods, service } = explanation
  const [namespace = ''] = service.split('/')
  const there = slices.slices === 0 ? 'the Service has no EndpointSlice in the input' : undefined
  if (selector === undefined) {
    const created = 'it has no selector, so no controller creates one'
    return there === undefined
      ? 'the Service has no selector, so whoever maintains its EndpointSlices has to list endpoints'
      : `${there}, and ${created}`
  }
  const text = selectorText(selector)
  const { family } = port.row.port
  const otherFamily = listedFamily(port, explanation)
  if (otherFamily !== undefined) {
    const lacking = pods?.findings.some(({ reason }) => reason === 'NO_IP_OF_FAMILY')
    const why =
      pods === undefined
        ? `: see whether the Pods have an ${family} address (status.podIPs)`
        : lacking
          ? `: Pods have no ${family} address (below)`
          : ''
    return `the Service's ${otherFamily} EndpointSlices list endpoints, and no ${family} EndpointSlice does${why}`
  }
  if (pods === undefined)
    return there === undefined
      ? `either no Pod has the labels ${text}, or none has the port (explain says which where --objects has Pods)`
      : `${there}; its selector is ${text}`
  if (pods.matching === 0)
    return pods.nearest === undefined
      ? `the input has no Pod of namespace ${namespace} (the labels are ${text})`
      : `no Pod of namespace ${namespace} has the labels ${text}`
  const counted = `${countOf(pods.matching, 'Pod')} with the labels ${text}, ${pods.ready} ready (below)`
  return there === undefined ? `there ${pods.matching === 1 ? 'is' : 'are'} ${counted}` : `${there}; ${counted}`
}

/** The other family, where endpoints of that are listed for the same port of the Service. */
const listedFamily = ({ row: { port } }: PortExplanation, { ports }: Explanation): string | undefined =>
  ports.find(
    ({ row }) => row.port.portName === port.portName && row.port.protocol === port.protocol && row.endpoints.length > 0,
  )?.row.port.family

const selectorText = (selector: object): string =>
  cutText(
    Object.entries(selector)
      .map(([name, value]) => `${name}=${String(value)}`)
      .toSorted()
      .join(','),
  )

/** What the Pods say: which comes closest where the selector selects none, and why others are no ready endpoints. */
export function podLines({ service, ports, pods }: Explanation, style: Style): readonly string[] {
  if (pods === undefined) return []
  const { matching, ready, nearest, elsewhere, findings, moreFindings } = pods
  const [namespace = ''] = service.split('/')
  const selector = cutText(pods.selector)
  const isListed = ports.some(({ row }) => row.endpoints.length > 0)
  if (matching === 0 && isListed)
    return [
      '',
      `Pods of namespace ${namespace} with the labels ${selector}: none in the input, although endpoints are listed`,
    ]
  if (matching === 0) {
    const others = elsewhere.map((each) => `${countOf(each.pods, 'Pod')} in ${each.namespace}`)
    return [
      '',
      `Pods of namespace ${namespace} with the labels ${selector}: none`,
      ...(nearest === undefined ? ['  the input has no Pod of this namespace'] : [`  ${nearestText(nearest, style)}`]),
      ...(others.length === 0
        ? []
        : [
            `  other namespaces have Pods with these labels, but a Service selects only in its own: ${others.join(', ')}`,
          ]),
    ]
  }
  if (findings.length === 0) return []
  const rows = findings.map(({ pod, message, since, portName }) => ({
    pod,
    since: since === undefined ? '-' : formatTime(since),
    why: `${portName === undefined || portName === '' ? '' : `port ${portName}: `}${message}`,
  }))
  const columns: readonly Column<(typeof rows)[number]>[] = [
    { title: 'POD', cell: ({ pod }) => pod },
    { title: 'SINCE', cell: ({ since }) => since },
    { title: 'WHY IT IS NOT A READY ENDPOINT', cell: ({ why }) => style.yellow(why) },
  ]
  return [
    '',
    `Pods with the labels ${selector}: ${matching}, ${ready} ready`,
    ...renderTable(columns, rows, { title: style.dim, indent: '  ' }),
    ...(moreFindings > 0 ? [style.dim(`  and ${moreFindings} more`)] : []),
  ]
}

/** `the closest is checkout-v1-0: it has tier=web instead of tier=backend (3 more Pods differ in the same way)`. */
function nearestText({ pod, alike, mismatches, matches }: Nearest, style: Style): string {
  if (matches === 0 && mismatches.every(({ found }) => found === undefined))
    return 'no Pod of this namespace has any of these label keys'
  const differences = mismatches.map(({ label, wanted, found }) =>
    found === undefined ? `has no label ${label} (${wanted})` : `has ${label}=${found} instead of ${label}=${wanted}`,
  )
  const more = alike === 0 ? '' : ` (so ${alike === 1 ? 'does 1 more Pod' : `do ${alike} more Pods`})`
  return `the closest is ${style.bold(pod)}: it ${differences.join(', and ')}${more}`
}

type Nearest = NonNullable<NonNullable<Explanation['pods']>['nearest']>
