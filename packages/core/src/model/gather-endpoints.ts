import { sortedEndpoints, withoutDuplicates } from './endpoint-order.js'
import type { Endpoint } from './endpoint.js'
import type { ServicePortName } from './names.js'
import type { SliceEndpoints } from './slice-endpoints.js'

/**
 * The endpoints of a Service from all its slices together, whatever the order in which they are given. Of an endpoint
 * that several slices list, one that is not terminating wins over one that is (as in kube-proxy); between equals, where
 * kube-proxy leaves it open, the slice with the higher resourceVersion, then the one whose name comes first.
 * The map of a single slice is given back as it is.
 */
export function gatherEndpoints(slices: readonly SliceEndpoints[]): ReadonlyMap<ServicePortName, readonly Endpoint[]> {
  const [only] = slices
  if (only === undefined) return new Map()
  if (slices.length === 1) return only.endpoints
  const lists = new Map<ServicePortName, (readonly Endpoint[])[]>()
  for (const { endpoints } of slices.toSorted(comparePrecedence)) {
    for (const [id, list] of endpoints) {
      const sofar = lists.get(id)
      if (sofar === undefined) lists.set(id, [list])
      else sofar.push(list)
    }
  }
  const gathered = new Map<ServicePortName, readonly Endpoint[]>()
  for (const [id, ofSlices] of lists) gathered.set(id, merge(ofSlices))
  return gathered
}

/** Sorting is stable, so that duplicates come out in the order of precedence. */
function merge(lists: readonly (readonly Endpoint[])[]): readonly Endpoint[] {
  const [only] = lists
  return lists.length === 1 && only !== undefined ? only : withoutDuplicates(sortedEndpoints(lists.flat()))
}

function comparePrecedence(a: SliceEndpoints, b: SliceEndpoints): number {
  const newer = compareVersions(b.resourceVersion, a.resourceVersion)
  if (newer !== 0) return newer
  if (a.slice === b.slice) return 0
  return a.slice < b.slice ? -1 : 1
}

/** As numbers where both are: they are of any length, and comparing texts would put 9 above 10. */
function compareVersions(a: string, b: string): number {
  if (a === b) return 0
  if (!isNumber(a) || !isNumber(b)) return a < b ? -1 : 1
  const difference = BigInt(a) - BigInt(b)
  if (difference === 0n) return 0
  return difference < 0n ? -1 : 1
}

const isNumber = (text: string): boolean => /^[0-9]+$/.test(text)
