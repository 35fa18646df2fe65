import { iptablesDataplane } from '@pointsman/backend-iptables'
import { nftablesDataplane } from '@pointsman/backend-nftables'
import type { Dataplane } from '@pointsman/core'

/** The backend without a kernel, for replays and the demo. */
export { createMockBackend } from '@pointsman/backend-mock'
/** Runs one process to its end: the one runner, for what is no rule system's own. */
export { runProcess } from 'node-iptables'
/** Reports that firewalld started or reloaded, which may flush tables of any rule system. */
export { watchFirewalld } from 'node-iptables'
/** Ends what an agent that was killed has started, and what could still write rules. */
export { endOrphans } from 'node-iptables'
/** The kernel's flows over netlink. */
export { deleteFlows, listFlows } from 'node-netfilter'

/** The rule systems that the command knows; the first is the default. No other file of cli imports one. */
export const DATAPLANES: readonly [Dataplane, ...Dataplane[]] = [iptablesDataplane, nftablesDataplane]
