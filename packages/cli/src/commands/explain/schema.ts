import { HINT_REASONS } from '@pointsman/core'
import { fateFields, flip } from '../bisect/schema.js'
import { serviceFields, skipped } from '../services/schema.js'
import {
  documentHead,
  flag,
  integer,
  listOf,
  objectOf,
  oneOf,
  oneOfKeys,
  optional,
  point,
  required,
  text,
  type DocumentJson,
  type Json,
} from '../../output/schema.js'

const frontType = oneOf('clusterIP', 'externalIP', 'loadBalancerIP', 'nodePort')

const way = objectOf('Way', {
  from: required(
    oneOf('pod', 'node', 'outside', 'ranges'),
    'who sends: a pod of the node, the node itself, a host outside, one within the source ranges',
  ),
  ...fateFields,
})

const front = objectOf('Front', {
  type: required(frontType, 'what the address is'),
  address: required(text, "of a node port the node's first address"),
  port: required(integer, 'the port there'),
  ways: required(listOf(way), 'what becomes of what is sent there'),
})

const hint = objectOf('Hint', {
  reason: required(oneOfKeys(HINT_REASONS), 'whether they are followed, and why not, for a script'),
  message: required(text, 'the same, for a person'),
})
export type HintJson = Json<typeof hint>

const hints = objectOf('Hints', {
  distribution: optional(oneOf('PreferSameNode', 'PreferSameZone'), 'the hints that are followed; absent: none'),
  nodeHints: required(hint, 'hints for nodes'),
  zoneHints: required(hint, 'hints for zones'),
})

const overlap = objectOf('Overlap', {
  type: required(frontType, 'what the address is'),
  address: optional(text, 'absent for a node port'),
  port: required(integer, 'the port there'),
  otherService: required(text, '`namespace/name` of the other Service that claims it'),
  otherPortName: optional(text, 'the port of that; absent where it has no name'),
  otherIsFirst: required(flag, 'whether the other, being older, is asked first; what it does not take, this one may'),
})
export type OverlapJson = Json<typeof overlap>

const port = objectOf('Port', {
  ...serviceFields,
  fronts: required(listOf(front), 'its addresses, and what becomes of what is sent there'),
  hints: required(hints, 'whether topology hints are followed'),
  overlaps: required(listOf(overlap), 'addresses that other Services claim too'),
})
export type PortJson = Json<typeof port>

const healthCheck = objectOf('HealthCheck', {
  port: required(integer, 'the health-check node port'),
  status: required(integer, 'what load balancers hear: 200 or 503'),
  localEndpoints: required(integer, 'ready endpoints on the node, those of all ports together'),
})

const conclusion = objectOf('Conclusion', {
  reached: required(
    oneOf('always', 'sometimes', 'never', 'no-rules'),
    'whether everything, something or nothing that may be sent to it gets to endpoints',
  ),
  message: required(text, 'the same with the reason, for a person; the words may change'),
})

/** What `pointsman explain -o json` prints. */
export const explanation = objectOf('Explanation', {
  ...documentHead('Explanation'),
  at: optional(point, 'absent where the answer is from `--objects`'),
  node: optional(text, 'the node that the answer is for; absent where the input has no Node'),
  namespace: required(text, 'of the Service'),
  name: required(text, 'of the Service'),
  conclusion: required(conclusion, 'the answer'),
  ports: required(listOf(port), 'its ports, of one family each'),
  skipped: required(listOf(skipped), 'ports that get no rules, or the whole Service'),
  healthCheck: optional(healthCheck, 'absent where it has no health-check node port'),
  changes: optional(listOf(flip), 'the latest records that changed the answer, newest first; absent without a log'),
  moreChanges: optional(flag, 'whether there may be earlier ones; absent without a log'),
})
export type ExplanationJson = DocumentJson<typeof explanation>
