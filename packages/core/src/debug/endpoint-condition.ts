import type { Endpoint } from '../model/endpoint.js'

/** `ready`, `not ready`, `terminating, still serving`, `terminating`: an endpoint's conditions in words. */
export function endpointCondition({ ready, serving, terminating }: Endpoint): string {
  if (terminating) return serving ? 'terminating, still serving' : 'terminating'
  return ready ? 'ready' : 'not ready'
}
