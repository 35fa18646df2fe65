import type { Match } from 'node-iptables'

/** The nfacct objects that kube-proxy 1.36 counts in: two of its metrics are read from them. */
export const INVALID_DROPPED = 'ct_state_invalid_dropped_pkts'
export const LOCALHOST_ACCEPTED = 'localhost_nps_accepted_pkts'
export const NFACCT_COUNTERS = [INVALID_DROPPED, LOCALHOST_ACCEPTED] as const

/** Counts what all matches before it took. The rule is refused where the object does not exist. */
export const countedBy = (name: (typeof NFACCT_COUNTERS)[number]): Match => ({ type: 'nfacct', name })
