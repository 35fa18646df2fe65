import type { OverlapGroup, ServicePortName } from '@pointsman/core'
import {
  type ChainKey,
  chainsOf,
  entriesOf,
  groupText,
  type Installed,
  linesOf,
  type PackedService,
  type RenderedService,
} from './installed.js'

/** Service ports that were synced in some time, with each version of their rules that there was in it. */
export type SyncedVersions = ReadonlyMap<ServicePortName, readonly PackedService[]>

/**
 * What was read while service ports were synced, as if they had been read after it: of those, what was found may be of any
 * version, or half of one, and counts as right. What else differs from `now` is somebody else's doing.
 */
export function exceptSynced(
  found: Installed,
  {
    synced,
    now,
    overlapping,
  }: { readonly synced: SyncedVersions; readonly now: Installed; readonly overlapping: readonly OverlapGroup[] },
): Installed {
  if (synced.size === 0) return found
  const services = new Map(found.services)
  for (const name of synced.keys()) {
    const service = now.services.get(name)
    if (service === undefined) services.delete(name)
    else services.set(name, service)
  }
  const groups = new Map(found.groups)
  for (const group of overlapping) {
    if (group.some((name) => synced.has(name))) for (const name of group) groups.set(name, groupText(group))
  }
  return { ...found, services, groups, leftovers: without(found.leftovers, [...synced.values()].flat()) }
}

function without(leftovers: RenderedService, versions: readonly PackedService[]): RenderedService {
  const chains = new Set(versions.flatMap((service) => chainsOf(service).map(([key]) => key)))
  const entries = new Map<ChainKey, Set<string>>()
  for (const [key, lines] of versions.flatMap(entriesOf)) {
    const rules = entries.get(key) ?? new Set()
    for (const line of linesOf(lines)) rules.add(line)
    entries.set(key, rules)
  }
  return {
    chains: leftovers.chains.filter(([key]) => !chains.has(key)),
    entries: leftovers.entries.map(([key, lines]) => [
      key,
      linesOf(lines)
        .filter((line) => entries.get(key)?.has(line) !== true)
        .join('\n'),
    ]),
  }
}
