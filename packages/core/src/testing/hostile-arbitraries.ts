import fc from 'fast-check'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import { validArbitrary } from './object-arbitraries.js'

/** Values that no field expects. */
const junk: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    65_536,
    '',
    'None',
    'a/b',
    'a:b',
    'it"s',
    "it's",
    'two\nlines',
    '\u0000',
    '10.0.0.256',
    '::ffff:10.0.0.1',
    '10.0.0.0/99',
    [],
    {},
    [[]],
    [null],
  ),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
)

/**
 * Objects of a kind with some fields, at any depth, missing or of a wrong type. Only what a KubernetesObject promises is
 * kept: its kind, and metadata with a name that is text, whatever text.
 */
export const hostileObjectArbitrary = (kind: ObjectKind): fc.Arbitrary<KubernetesObject> =>
  fc
    .tuple(
      validArbitrary(kind),
      fc.array(fc.tuple(fc.nat(), junk, fc.boolean()), { minLength: 1, maxLength: 4 }),
      fc.oneof(fc.constant(undefined), fc.string()),
    )
    .map(([object, damages, name]) => {
      let damaged: JsonObject = object
      for (const [place, value, remove] of damages) damaged = damage(damaged, place, remove ? undefined : value)
      const metadata = isObject(damaged['metadata']) ? damaged['metadata'] : {}
      const kept = typeof metadata['name'] === 'string' ? metadata['name'] : object.metadata.name
      // A namespace of a wrong type is among the damages, which the type of an object denies.
      return { ...damaged, kind, metadata: { ...metadata, name: name ?? kept } }
    })

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The object with one of its values, counted through all depths, replaced or removed. */
function damage(object: JsonObject, place: number, value: Json | undefined): JsonObject {
  const total = countValues(object) - 1
  if (total <= 0) return object
  let left = 1 + (place % total)
  const visit = (node: Json | undefined): Json | undefined => {
    if (left-- === 0) return value
    if (Array.isArray(node)) return node.map((item: Json) => visit(item) ?? null)
    if (!isObject(node)) return node
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]))
  }
  const result = visit(object)
  return isObject(result) ? result : object
}

function countValues(node: Json | undefined): number {
  if (Array.isArray(node)) return node.reduce<number>((sum, item: Json) => sum + countValues(item), 1)
  return isObject(node) ? Object.values(node).reduce((sum: number, child) => sum + countValues(child), 1) : 1
}
