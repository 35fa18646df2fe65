import type { IpFamily } from '../model/address.js'
import type { ServicePortName } from '../model/names.js'
import type { RuleItem } from './rule-item.js'

/** One thing in which the rules of one family are not what they should be. */
export interface AuditFinding {
  /** A key of its rule system's `findings`. */
  readonly type: string
  readonly family: IpFamily
  /** The implementation of the rule system that has them: `nft`, `legacy`. Absent: they were read from a file, or there is but one. */
  readonly variant?: string | undefined
  /** Empty: all of them. */
  readonly table: string
  /** The chain, set or map. Empty: all of the table's. */
  readonly chain: string
  /** Whose item it is, or would be. Absent: it is there whatever Services there are, or it is nobody's. */
  readonly owner?: ServicePortName | undefined
  /** `namespace/name:port`: whose it says to be in its comment, where it should not be there. */
  readonly claims?: string | undefined
  /** What was recognized, for people, where the type alone does not say it: a sentence without its full stop. */
  readonly detail?: string | undefined
  /** How often the item is there, or how many differences one cause explains. Absent: once, or one. */
  readonly count?: number | undefined
  /** The items that should be there, in order. */
  readonly expected?: readonly RuleItem[] | undefined
  /** The items that are there. */
  readonly found?: readonly RuleItem[] | undefined
}

/** What a finding of one type means. */
export interface FindingKind {
  /** A clause for people: `the rule is missing`. */
  readonly meaning: string
  /** `missing rule`, `missing rules`. */
  readonly nouns: readonly [one: string, several: string]
  /**
   * Which record is behind it: the one that made the expected item, or changed it into what it should be; or the one that took
   * the found item away, or all items of its place; or none, because no record makes or removes such a thing.
   */
  readonly cause: 'made' | 'changed' | 'removed' | 'emptied' | 'none'
  /** The rules were not compared with the planned ones, because those are of another program, release or mode. Default: they were. */
  readonly comparesNothing?: boolean | undefined
}

/** Something that is as it may be, and that a reader of an audit should know of. */
export interface AuditNote {
  readonly family: IpFamily
  /** A sentence for people, without its full stop. */
  readonly text: string
  /** The items that say so, in their order. */
  readonly found: readonly RuleItem[]
}
