/** The kinds that a service proxy reads. Objects of other kinds are passed over. */
export const OBJECT_KINDS = ['Service', 'EndpointSlice', 'Node', 'ServiceCIDR'] as const
export type ObjectKind = (typeof OBJECT_KINDS)[number]

/** The kinds that every rule system is made from. ServiceCIDRs are for those that say so (`Dataplane.kinds`). */
export const NEEDED_KINDS = ['Service', 'EndpointSlice', 'Node'] as const satisfies readonly ObjectKind[]

/** The kinds whose objects have no namespace. */
export type ClusterScopedKind = Extract<ObjectKind, 'Node' | 'ServiceCIDR'>
export const isClusterScoped = (kind: unknown): kind is ClusterScopedKind => kind === 'Node' || kind === 'ServiceCIDR'

/** As the API serves them. Other groups have kinds of the same names. */
export const API_VERSIONS: { readonly [kind in ObjectKind]: string } = {
  Service: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  Node: 'v1',
  ServiceCIDR: 'networking.k8s.io/v1',
}

/** Any JSON value. What the API serves is data from outside: each reader checks what it uses. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json | undefined
}

/**
 * An object of the Kubernetes API as the engine handles it. Nothing but its kind and its name is promised:
 * every other field may be absent or of a wrong type, and `model/` reads each with a check.
 */
export interface KubernetesObject extends JsonObject {
  readonly kind: ObjectKind
  readonly metadata: JsonObject & { readonly name: string; readonly namespace?: string }
}

/** What identifies one object through its life; a deleted and recreated object has another uid. */
export interface ObjectReference {
  readonly kind: ObjectKind
  /** Empty for a Node or ServiceCIDR. */
  readonly namespace: string
  readonly name: string
  /** Empty where the object has none, as in a manifest. */
  readonly uid: string
}

/**
 * Which of two resourceVersions is newer: below 0 the second, above 0 the first, 0 for the same; undefined where they are
 * not both numbers, and nothing can be said. They count over all kinds of a cluster, and may have any number of digits.
 * Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions (comparable since 1.35)
 */
export function compareResourceVersions(one: string, other: string): number | undefined {
  if (!NUMBER.test(one) || !NUMBER.test(other)) return undefined
  const [a, b] = [withoutZeros(one), withoutZeros(other)]
  // Numbers of any length: with equal length their order is that of their digits.
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}

const NUMBER = /^[0-9]+$/
const withoutZeros = (digits: string): string => digits.replace(/^0+(?=.)/, '')

/** Whether a version is known to come before another. What is no number counts as newer. */
export const isOlderVersion = (one: string, other: string): boolean => (compareResourceVersions(one, other) ?? 1) < 0
