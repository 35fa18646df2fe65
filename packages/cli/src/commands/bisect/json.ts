import type { FateFlip, FlipCause, PacketFate } from '@pointsman/core'
import { type Document, formatTime } from '../../output/json.js'
import { authorItem } from '../log/json.js'
import type { Bisection } from './answer.js'
import type { BisectQuestion } from './question.js'
import { causeWords, flipChanges } from './text.js'

/** A Bisection as `docs/json.md` has it. */
export function bisectDocument(found: Bisection, question: BisectQuestion): Document {
  const { broken, mended, flips, first, last, services, candidates } = found
  const { packet, node, exact, from, to } = question
  return {
    kind: 'Bisection',
    at: pointItem(to),
    from: pointItem(from),
    ...(node && { node: node.name }),
    packet,
    exact,
    ...(broken && { broken: flipItem(broken, found.causeOf(broken)) }),
    ...(mended && { mended: flipItem(mended, found.causeOf(mended)) }),
    first: fateItem(first),
    last: fateItem(last),
    flips: flips.map((flip) => flipItem(flip, found.causeOf(flip))),
    services,
    candidates,
    assumptions: question.assumptions,
  }
}

const pointItem = ({ seq, time }: BisectQuestion['to']): { readonly seq: number; readonly time?: string } => ({
  seq,
  ...(time !== undefined && { time: formatTime(time) }),
})

export const fateItem = ({ verdict, reason, endpoints }: PacketFate): object => ({
  fate: verdict,
  reason,
  endpoints: endpoints.map(({ address, port, odds, masqueraded }) => ({ address, port, odds, masqueraded })),
})

export function flipItem({ record, previous, before, after }: FateFlip, cause: FlipCause): object {
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
      ...(message !== undefined && { message }),
      ...(cause.type === 'service-edit' && {
        edit: {
          seq: cause.edit.record.seq,
          time: formatTime(cause.edit.record.observedAt),
          namespace: cause.edit.record.namespace,
          name: cause.edit.record.name,
          ...(cause.edit.record.author && { author: authorItem(cause.edit.record.author) }),
          changes: cause.edit.changes,
        },
      }),
    },
  }
}

const objectItem = ({
  event,
  kind,
  namespace,
  name,
  resourceVersion,
  author,
}: Extract<FateFlip['record'], { type: 'object' }>): object => ({
  event,
  kind,
  ...(namespace !== '' && { namespace }),
  name,
  ...(resourceVersion !== '' && { resourceVersion }),
  ...(author && { author: authorItem(author) }),
})
