import { HINT_REASONS, type HintReason, type ServicePort } from '@pointsman/core'
import { fateItem, flipItem } from '../bisect/json.js'
import { serviceItem, skippedItem } from '../services/json.js'
import type { Explanation, PortExplanation } from './answer.js'
import type { LatestChanges } from './latest-changes.js'
import { conclusionOf } from './text.js'

/** The fields of an Explanation as `docs/json.md` has it, without its head. */
export function explainFields(explanation: Explanation, latest: LatestChanges | undefined): object {
  const { service, ports, skipped, healthCheck } = explanation
  const [namespace = '', name = ''] = service.split('/')
  return {
    namespace,
    name,
    conclusion: conclusionOf(explanation),
    ports: ports.map(portItem),
    skipped: skipped.map(skippedItem),
    ...(healthCheck && { healthCheck }),
    ...(latest && {
      changes: latest.changes.map(({ flip, cause }) => flipItem(flip, cause)),
      moreChanges: latest.areMore,
    }),
  }
}

const portItem = ({ row, fronts, hints, overlaps }: PortExplanation): object => ({
  ...serviceItem(row),
  fronts: fronts.map(({ front: { type, port }, address, ways }) => ({
    type,
    address,
    port,
    ways: ways.map((way) => ({ from: way.from, ...fateItem(way) })),
  })),
  hints: {
    ...(hints.distribution !== undefined && { distribution: hints.distribution }),
    nodeHints: hintItem(hints.nodeHints),
    zoneHints: hintItem(hints.zoneHints),
  },
  overlaps: overlaps.map(({ front, other, otherIsFirst }) => ({
    type: front.type,
    ...(front.address !== undefined && { address: front.address }),
    port: front.port,
    ...otherItem(other),
    otherIsFirst,
  })),
})

const otherItem = ({ service, portName }: ServicePort): object => ({
  otherService: service,
  ...(portName !== '' && { otherPortName: portName }),
})

const hintItem = (reason: HintReason): object => ({ reason, message: HINT_REASONS[reason] })
