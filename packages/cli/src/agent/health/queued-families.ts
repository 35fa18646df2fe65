import type { IpFamily, WatchEvent } from '@pointsman/core'

/**
 * The families whose rules an event asks to be synced, as kube-proxy's proxier of each family counts it: a slice is of one
 * family, a Service may be of both. What a Node says of itself asks for nothing by itself.
 */
export function queuedFamilies(event: WatchEvent): readonly IpFamily[] {
  if (event.type === 'BOOKMARK' || event.object.kind === 'Node') return NONE
  if (event.object.kind === 'Service') return BOTH
  return BOTH.filter((family) => family === event.object['addressType'])
}

const NONE: readonly IpFamily[] = []
const BOTH: readonly IpFamily[] = ['IPv4', 'IPv6']
