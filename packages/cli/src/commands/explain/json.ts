import { HINT_REASONS, type HintReason, type ServicePort } from '@pointsman/core'
import { fateItem, flipItem } from '../bisect/json.js'
import { serviceItem, skippedItem } from '../services/json.js'
import type { PointJson } from '../../output/schema.js'
import type { Explanation, PortExplanation } from './answer.js'
import type { LatestChanges } from './latest-changes.js'
import type { ExplanationJson, HintJson, OverlapJson, PortJson } from './schema.js'
import { conclusionOf } from './text.js'

interface ExplanationFrom {
  readonly at: PointJson | undefined
  readonly node: string | undefined
  readonly explanation: Explanation
  /** Undefined without a log. */
  readonly latest: LatestChanges | undefined
}

/** An Explanation as `docs/json.md` has it. */
export function explanationDocument({ at, node, explanation, latest }: ExplanationFrom): ExplanationJson {
  const { service, ports, skipped, healthCheck } = explanation
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
    changes: latest?.changes.map(({ flip, cause }) => flipItem(flip, cause)),
    moreChanges: latest?.areMore,
  }
}

const portItem = ({ row, fronts, hints, overlaps }: PortExplanation): PortJson => ({
  ...serviceItem(row),
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
  overlaps: overlaps.map(({ front, other, otherIsFirst }): OverlapJson => ({
    type: front.type,
    address: front.address,
    port: front.port,
    ...otherItem(other),
    otherIsFirst,
  })),
})

const otherItem = ({ service, portName }: ServicePort): Pick<OverlapJson, 'otherService' | 'otherPortName'> => ({
  otherService: service,
  otherPortName: portName || undefined,
})

const hintItem = (reason: HintReason): HintJson => ({ reason, message: HINT_REASONS[reason] })
