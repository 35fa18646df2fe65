import { frontKey, frontsOf, servicePortsOf, type Front, type KubernetesObject } from '@pointsman/core'

/**
 * The UDP fronts that Services have or had, each once: of what a log holds, in whichever versions, those that a start has
 * to look after besides the fronts of its state.
 */
export function udpFrontsOf(services: Iterable<KubernetesObject>): readonly Front[] {
  const fronts = new Map<string, Front>()
  for (const service of services) {
    if (service.kind !== 'Service') continue
    for (const port of servicePortsOf(service).ports) {
      if (port.protocol !== 'UDP') continue
      for (const front of frontsOf(port)) fronts.set(frontKey(front), front)
    }
  }
  return [...fronts.values()]
}
