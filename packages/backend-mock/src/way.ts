import type { ProxyConfig } from '@pointsman/core'
import type { InForce } from './in-force.js'
import type { ReadPacket } from './packet.js'
import type { Source } from './source.js'

export type Verdict = 'endpoints' | 'rejected' | 'dropped' | 'no-service'

/** A packet, and all that its fate depends on but the fronts that it matches. */
export interface Way {
  readonly inForce: InForce
  readonly config: ProxyConfig
  readonly packet: ReadPacket
  readonly source: Source
  /** Its destination is one of the node's own addresses. */
  readonly toNode: boolean
}
