import type { ServicePortName } from '../model/names.js'

/** A chain, set or map of a table. */
export interface Place {
  readonly table: string
  readonly chain: string
}

/**
 * One item of a rule system: an iptables rule, an nftables rule or a set element. Text is made when it is asked for, since
 * most items of a large ruleset are never printed.
 */
export interface RuleItem extends Place {
  /** The service port that it is for. Undefined: it is there whatever Services there are. */
  readonly owner: ServicePortName | undefined
  /** The whole item as the rule system's own listing prints it: `-A KUBE-SERVICES -d 10.96.0.10/32 ...`. */
  readonly line: string
  /** The same without its place: `-d 10.96.0.10/32 ...`. */
  readonly text: string
  /**
   * What makes an item of a chain the same one from record to record: all that it says but its share, which follows from the
   * number of its neighbours.
   */
  readonly identity: string
  /** The identity without comments, which large clusters leave out and people do not paste. */
  readonly bareIdentity: string
  /** The probability (0..1) with which it matches a packet that reaches it; undefined: it leaves nothing to chance. */
  readonly share: number | undefined
  /** Whether both say the same; cheaper than a comparison of their texts. */
  equals(other: RuleItem): boolean
}
