import type { ServicePortName } from '@pointsman/core'

/** What can go wrong with a sync besides the errors of node-iptables. A code is a contract: added, not renamed. */
export const IPTABLES_BACKEND_ERRORS = {
  SERVICES_REFUSED:
    'the rules of these service ports cannot be planned, or iptables rejects them: their previous rules stay in place; all other service ports are up to date',
} as const

export interface RefusedService {
  readonly owner: ServicePortName
  /** An IptablesError, or an Error whose cause is what planning has thrown. */
  readonly error: Error
}

/** Everything is in force but what cannot be planned, what iptables refuses, each service port tried by itself, and what was not tried. */
export class ServicesRefusedError extends Error {
  override readonly name = 'ServicesRefusedError'
  readonly code = 'SERVICES_REFUSED'
  readonly services: readonly RefusedService[]
  /** Service ports that were given up, because so many others had been refused. They have the rules that they had. */
  readonly untried: readonly ServicePortName[]

  constructor(services: readonly RefusedService[], { untried }: { readonly untried: readonly ServicePortName[] }) {
    const owners = services.map(({ owner }) => owner).join(', ')
    const more = untried.length === 0 ? '' : `, and ${untried.length} more were not tried`
    super(`${IPTABLES_BACKEND_ERRORS.SERVICES_REFUSED}: ${owners}${more}; ${services[0]?.error.message ?? ''}`, {
      cause: services[0]?.error,
    })
    this.services = services
    this.untried = untried
  }
}
