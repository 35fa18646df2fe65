import type { FateFlip, FlipCause, PacketFate } from '@pointsman/core'
import { formatTime, pointJson, takenOver } from '../../output/json.js'
import { editItem } from '../blame/json.js'
import { authorItem } from '../log/json.js'
import type { Bisection } from './answer.js'
import type { BisectQuestion } from './question.js'
import type { BisectionJson, FateJson, FlipJson } from './schema.js'
import { causeWords, flipChanges } from './text.js'

/** A Bisection as `docs/json.md` has it. */
export function bisectDocument(found: Bisection, question: BisectQuestion): BisectionJson {
  const { broken, mended, flips, first, last, services, candidates } = found
  const { packet, node, exact, from, to } = question
  return {
    kind: 'Bisection',
    at: pointJson(to),
    from: pointJson(from),
    node: node?.name,
    packet: takenOver<BisectionJson['packet']>()(packet),
    exact,
    broken: broken && flipItem(broken, found.causeOf(broken)),
    mended: mended && flipItem(mended, found.causeOf(mended)),
    first: fateItem(first),
    last: fateItem(last),
    flips: flips.map((flip) => flipItem(flip, found.causeOf(flip))),
    services,
    candidates,
    assumptions: question.assumptions,
  }
}

export const fateItem = ({ verdict, reason, endpoints }: PacketFate): FateJson => ({
  fate: verdict,
  reason,
  endpoints: endpoints.map(({ address, port, odds, masqueraded }) => ({ address, port, odds, masqueraded })),
})

export function flipItem({ record, previous, before, after }: FateFlip, cause: FlipCause): FlipJson {
  const message = causeWords(cause)
  return {
    seq: record.seq,
    time: formatTime(record.observedAt),
    ...(record.type === 'object' && objectItem(record)),
    changes: flipChanges({ record, previous }),
    before: fateItem(before),
    after: fateItem(after),
    cause: {
      type: cause.type,
      message,
      edit: cause.type === 'service-edit' ? editItem(cause.edit) : undefined,
    },
  }
}

type ObjectJson = Pick<FlipJson, 'event' | 'kind' | 'namespace' | 'name' | 'resourceVersion' | 'author'>

const objectItem = ({
  event,
  kind,
  namespace,
  name,
  resourceVersion,
  author,
}: Extract<FateFlip['record'], { type: 'object' }>): ObjectJson => ({
  event,
  kind,
  namespace: namespace || undefined,
  name,
  resourceVersion: resourceVersion || undefined,
  author: author && authorItem(author),
})
