import { HINT_REASONS, POD_REASONS, SLICE_REASONS } from '@pointsman/core'
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
  time,
  type DocumentJson,
  type Json,
} from '../../output/schema.js'
import { LOOK_CODES } from '../../packet/also-look-at.js'

const look = objectOf('AlsoLookAt', {
  code: required(oneOfKeys(LOOK_CODES), 'what it is about, for a script'),
  message: required(text, 'why, for a person'),
  command: required(text, 'the command that checks it on the node; it changes nothing'),
})

/** The list that `explain` and `trace` print below their answers. */
export const alsoLookAtList = listOf(look)

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
  address: optional(text, "of a node port the node's first address; absent where no address of the node is known"),
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
  isDefined: required(
    flag,
    'whether the verdict is the same in either order; if not, kube-proxy does not define which of the two wins on a node',
  ),
})
export type OverlapJson = Json<typeof overlap>

const sliceFinding = objectOf('SliceFinding', {
  slice: required(text, 'the name of the EndpointSlice'),
  reason: required(oneOfKeys(SLICE_REASONS), 'what does not fit, for a script'),
  message: required(text, 'the same, for a person'),
})

const podFinding = objectOf('PodFinding', {
  pod: required(text, "the Pod, in the Service's namespace"),
  reason: required(oneOfKeys(POD_REASONS), 'why it is not a ready endpoint, for a script'),
  message: required(text, 'the same, for a person'),
  since: optional(time, 'since when; absent where the Pod does not say it'),
  portName: optional(text, 'the port that it is about, empty for one without a name; absent: all'),
})

const mismatch = objectOf('LabelMismatch', {
  label: required(text, 'the key of the label'),
  wanted: required(text, 'the value that the selector requires'),
  found: optional(text, 'the value that the Pod has; absent: it does not have the label'),
})

const pods = objectOf('Pods', {
  selector: required(text, '`app=checkout,tier=backend`'),
  matching: required(integer, "Pods of the Service's namespace that have these labels"),
  ready: required(integer, 'those of them that are ready'),
  nearest: optional(
    objectOf('NearestPod', {
      pod: required(text, 'the Pod'),
      alike: required(integer, 'how many others differ in the same way'),
      mismatches: required(listOf(mismatch), 'labels that differ'),
      matches: required(integer, 'how many labels of the selector it has'),
    }),
    'where none matches, the Pod with the most similar labels; absent: one matches, or there is no Pod',
  ),
  elsewhere: required(
    listOf(
      objectOf('OtherNamespace', {
        namespace: required(text, 'the namespace'),
        pods: required(integer, 'how many Pods it has with these labels'),
      }),
    ),
    'where none matches, other namespaces that have such Pods',
  ),
  findings: required(listOf(podFinding), 'why matching Pods are not ready endpoints'),
  moreFindings: required(integer, 'how many more there are'),
})
export type PodsJson = Json<typeof pods>

const unknownNode = objectOf('UnknownNode', {
  name: required(text, 'the node that the answer is for'),
  others: required(listOf(text), 'Nodes that the input has, and nodes of endpoints'),
})

const port = objectOf('Port', {
  ...serviceFields,
  fronts: required(listOf(front), 'its addresses, and what becomes of what is sent there'),
  hints: required(hints, 'whether topology hints are followed'),
  slices: required(listOf(sliceFinding), 'EndpointSlices that do not fit the port, and why'),
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
  dependsOn: optional(listOf(text), 'facts that affect the verdict and are not in the input; absent: none'),
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
  unknownNode: optional(unknownNode, 'the node, where the input has neither its Node nor an endpoint on it'),
  pods: optional(pods, 'what the Pods say; absent where the input has none, or the Service no selector'),
  changes: optional(listOf(flip), 'the latest records that changed the answer, newest first; absent without a log'),
  moreChanges: optional(flag, 'whether there may be earlier ones; absent without a log'),
  alsoLookAt: optional(
    alsoLookAtList,
    'what else affects the traffic and is not in the rules; absent: nothing that applies',
  ),
})
export type ExplanationJson = DocumentJson<typeof explanation>
