import { jsonEqual } from '../model/merge-patch.js'
import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { describeChange, NOTHING_TOLD } from './describe-change.js'

/** An object that is not what it was. */
export interface ObjectDifference {
  readonly event: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly kind: ObjectKind
  /** Empty for a Node. */
  readonly namespace: string
  readonly name: string
  /** Deleted and made again: another object of the same name. */
  readonly recreated: boolean
  /** As `describeChange` tells. */
  readonly changes: readonly string[]
}

/**
 * What differs between the objects of two points, by kind, namespace and name. What only the API server keeps count by
 * (resourceVersion, managedFields, ...) is no difference.
 */
export function diffObjects(
  before: readonly KubernetesObject[],
  after: readonly KubernetesObject[],
): readonly ObjectDifference[] {
  const was = new Map(before.map((object) => [keyOf(object), object]))
  const is = new Map(after.map((object) => [keyOf(object), object]))
  const differences: ObjectDifference[] = []
  for (const key of [...new Set([...was.keys(), ...is.keys()])].toSorted()) {
    const difference = differenceOf(was.get(key), is.get(key))
    if (difference !== undefined) differences.push(difference)
  }
  return differences
}

function differenceOf(
  previous: KubernetesObject | undefined,
  current: KubernetesObject | undefined,
): ObjectDifference | undefined {
  const object = current ?? previous
  if (object === undefined || (previous !== undefined && current !== undefined && jsonEqual(previous, current)))
    return undefined
  const event = current === undefined ? 'DELETED' : previous === undefined ? 'ADDED' : 'MODIFIED'
  const recreated = event === 'MODIFIED' && previous?.metadata['uid'] !== current?.metadata['uid']
  const told = describeChange({ event, previous, object })
  const changes = told.filter((phrase) => phrase !== NOTHING_TOLD && !(recreated && FOLLOWS_FROM_NEW_LIFE.test(phrase)))
  if (changes.length === 0 && !recreated) return undefined
  const { kind, metadata } = object
  return { event, kind, namespace: metadata.namespace ?? '', name: metadata.name, recreated, changes }
}

const FOLLOWS_FROM_NEW_LIFE = /^metadata\.(?:uid|creationTimestamp) /

/** Services first, then their slices, then Nodes: what people edit before what follows from it. */
const RANK: { readonly [kind in ObjectKind]: number } = { Service: 0, EndpointSlice: 1, Node: 2 }

const keyOf = ({ kind, metadata }: KubernetesObject): string =>
  `${RANK[kind]} ${metadata.namespace ?? ''}/${metadata.name}`
