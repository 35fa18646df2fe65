/** The kinds that a service proxy reads. Objects of other kinds are passed over. */
export const OBJECT_KINDS = ['Service', 'EndpointSlice', 'Node'] as const
export type ObjectKind = (typeof OBJECT_KINDS)[number]

/** As the API serves them. Other groups have kinds of the same names. */
export const API_VERSIONS: { readonly [kind in ObjectKind]: string } = {
  Service: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  Node: 'v1',
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
  /** Empty for a Node. */
  readonly namespace: string
  readonly name: string
  /** Empty where the object has none, as in a manifest. */
  readonly uid: string
}
