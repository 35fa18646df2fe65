import { HINT_REASONS, type HintReason, type PodSelection, type ServicePort } from '@pointsman/core'
import { fateItem, flipItem } from '../bisect/json.js'
import { serviceItem, skippedItem } from '../services/json.js'
import { formatTime } from '../../output/json.js'
import type { PointJson } from '../../output/schema.js'
import { type Explanation, type PortExplanation, slicesListing } from './answer.js'
import type { LatestChanges } from './latest-changes.js'
import type { ExplanationJson, HintJson, OverlapJson, PodsJson, PortJson } from './schema.js'
import { conclusionOf } from './conclusion.js'

interface ExplanationFrom {
  readonly at: PointJson | undefined
  readonly node: string | undefined
  readonly explanation: Explanation
  /** Undefined without a log. */
  readonly latest: LatestChanges | undefined
}

/** An Explanation as `docs/json.md` has it. */
export function explanationDocument({ at, node, explanation, latest }: ExplanationFrom): ExplanationJson {
  const { service, ports, skipped, healthCheck, pods, unknownNode, alsoLookAt } = explanation
  const [namespace = '', name = ''] = service.split('/')
  return {
    kind: 'Explanation',
    at,
    node,
    namespace,
    name,
    conclusion: conclusionOf(explanation),
    ports: ports.map(portItem),
    skipped: skipped.map(skippedItem),
    healthCheck,
    unknownNode,
    pods: pods && podsItem(pods),
    changes: latest?.changes.map(({ flip, cause }) => flipItem(flip, cause)),
    moreChanges: latest?.areMore,
    alsoLookAt: alsoLookAt.length === 0 ? undefined : alsoLookAt,
  }
}

const portItem = (explained: PortExplanation): PortJson => {
  const { row, fronts, hints, overlaps, slices } = explained
  const { endpoints, ...fields } = serviceItem(row)
  return {
    ...fields,
    endpoints: endpoints.map((endpoint, index) => {
      const [of] = row.endpoints.slice(index, index + 1)
      return { ...endpoint, slices: of && slicesListing(explained, of) }
    }),
    fronts: fronts.map(({ front: { type, port }, address, ways }) => ({
      type,
      address,
      port,
      ways: ways.map((way) => ({ from: way.from, ...fateItem(way) })),
    })),
    hints: {
      distribution: hints.distribution,
      nodeHints: hintItem(hints.nodeHints),
      zoneHints: hintItem(hints.zoneHints),
    },
    slices: slices.findings,
    overlaps: overlaps.map(({ front, other, otherIsFirst, isDefined }): OverlapJson => ({
      type: front.type,
      address: front.address,
      port: front.port,
      ...otherItem(other),
      otherIsFirst,
      isDefined,
    })),
  }
}

const podsItem = ({ findings, ...pods }: PodSelection): PodsJson => ({
  ...pods,
  findings: findings.map(({ since, ...finding }) => ({
    ...finding,
    since: since === undefined ? undefined : formatTime(since),
  })),
})

const otherItem = ({ service, portName }: ServicePort): Pick<OverlapJson, 'otherService' | 'otherPortName'> => ({
  otherService: service,
  otherPortName: portName || undefined,
})

const hintItem = (reason: HintReason): HintJson => ({ reason, message: HINT_REASONS[reason] })
