/** What the proxy uses of a Node. Addresses and CIDRs in canonical spelling, in the object's order. */
export interface NodeInfo {
  readonly name: string
  /** InternalIP first, then ExternalIP; other types are left out. The first of a family is the node IP of that family. */
  readonly addresses: readonly string[]
  readonly podCIDRs: readonly string[]
  /** The label topology.kubernetes.io/zone; empty where absent. */
  readonly zone: string
  readonly taints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[]
  /** A deletion timestamp is set. */
  readonly deleting: boolean
}

/** A node of which only the name is known: which endpoints are local is still known. */
export const nodeWithoutObject = (name: string): NodeInfo => ({
  name,
  addresses: [],
  podCIDRs: [],
  zone: '',
  taints: [],
  deleting: false,
})
