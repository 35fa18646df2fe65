import { LAYOUTS } from '@pointsman/core'
import { ruleFields } from '../rules/schema.js'
import {
  documentHead,
  author,
  flag,
  integer,
  listOf,
  number,
  objectOf,
  oneOf,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
  type FieldsJson,
  type Json,
} from '../../output/schema.js'

export const editBehind = objectOf('Edit', {
  seq: required(integer, 'its position in the log'),
  time: required(time, 'when it was observed'),
  namespace: required(text, 'of the Service'),
  name: required(text, 'of the Service'),
  author: optional(author, 'who made it; absent where it is not known'),
  changes: required(listOf(text), 'what changed, in phrases for people'),
})
export type EditJson = Json<typeof editBehind>

/** The record behind a change of a rule. */
export const causeFields = {
  seq: optional(integer, 'the record; absent: it was so where the log begins'),
  time: optional(time, 'when it was observed'),
  event: optional(oneOf('ADDED', 'MODIFIED', 'DELETED'), 'of an object; absent for the configuration'),
  kind: optional(oneOf('Service', 'EndpointSlice', 'Node', 'ServiceCIDR'), 'of the object'),
  namespace: optional(text, 'of the object: absent for a Node'),
  name: optional(text, 'of the object'),
  resourceVersion: optional(text, 'of the object'),
  author: optional(author, 'who changed the object; absent where it is not known; the API does not say who deletes'),
  editBehind: optional(editBehind, 'the change of its Service that a change of a slice follows from'),
}
export type CauseJson = FieldsJson<typeof causeFields>

const change = objectOf('Change', {
  what: required(text, 'what changed, for people; the words may change'),
  oddsAlone: optional(flag, 'true where nothing but the odds of the rule changed: other endpoints came or went'),
  ...causeFields,
})
export type ChangeJson = Json<typeof change>

/** An item of it: what `-o jsonl` prints. */
export const blameItem = objectOf('Rule', {
  ...ruleFields,
  odds: optional(number, 'the share of the packets that get to the rule, 0 to 1; absent: all of them'),
  changed: required(change, 'what last changed its text'),
  made: optional(change, 'where that was its odds alone: since when it is there'),
  removed: optional(change, 'what took it away; absent: it is there'),
})
export type BlameItemJson = Json<typeof blameItem>

/** What `pointsman blame -o json` prints. */
export const blameList = objectOf('BlameList', {
  ...documentHead('BlameList'),
  at: required(point, 'the last record that was looked at'),
  node: optional(text, 'the node that the rules are for; absent where the input has no Node'),
  family: required(oneOf('IPv4', 'IPv6'), 'of which iptables the rules are'),
  layout: required(
    oneOf(...LAYOUTS),
    "whose rules they are like: kube-proxy 1.36's (current, kube-proxy) or 1.20's (classic), or our own (compact)",
  ),
  items: required(
    listOf(blameItem),
    'the rules, in the order in which iptables-save prints them, with their comments; where none is there any more, those that were there last',
  ),
})
export type BlameListJson = DocumentJson<typeof blameList>
