import { type Fields, integer, objectOf, oneOf, optional, required, time } from './shape.js'

export const point = objectOf('Point', {
  seq: required(integer, 'the last record that the answer holds; 0 in an empty log'),
  time: optional(time, 'when that record was observed'),
})

/** The fields that every document begins with. */
export const documentHead = (kind: string): Fields => ({
  apiVersion: required(
    oneOf('pointsman/v1'),
    'changes when a field loses or changes its meaning, not when one is added',
  ),
  kind: required(oneOf(kind), 'what the document is'),
})
