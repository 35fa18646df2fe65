import { iptablesDataplane } from '@pointsman/backend-iptables'
import type { Dataplane } from '@pointsman/core'

/** The rule systems that the command knows; the first is the default. No other file of cli imports one. */
export const DATAPLANES: readonly [Dataplane, ...Dataplane[]] = [iptablesDataplane]
