import type { Wanted } from './changes-to.js'
import { groupText, type Installed } from './installed.js'
import { chainsOf } from './packed-service.js'
import type { ChainKey, RenderedService } from './rendered-service.js'

/** What is installed when all that was wanted has been brought about. */
export function installedAfter(installed: Installed, { base, services: changed, overlapping }: Wanted): Installed {
  const services = new Map(installed.services)
  const groups = new Map(installed.groups)
  for (const [name, service] of changed) {
    groups.delete(name)
    if (service === undefined) services.delete(name)
    else services.set(name, service)
  }
  for (const group of overlapping) for (const name of group) groups.set(name, groupText(group))
  return {
    fixed: base.fixed,
    dispatch: base.dispatch,
    kubelet: base.kubelet,
    missingJumps: [],
    extraJumps: [],
    referred: installed.referred,
    services,
    leftovers: emptied(installed, changed),
    groups,
  }
}

/** Chains that others refer to are left, empty, until a service port wants them again. */
function emptied({ leftovers, referred }: Installed, wanted: Wanted['services']): RenderedService {
  if (leftovers.chains.length === 0) return { chains: [], entries: [] }
  const taken = new Set([...wanted.values()].flatMap((service) => chainsOf(service).map(([key]) => key)))
  return {
    chains: leftovers.chains.flatMap(([key]): readonly (readonly [ChainKey, string])[] =>
      referred.has(key) && !taken.has(key) ? [[key, '']] : [],
    ),
    entries: [],
  }
}
