import { formatRule } from 'node-iptables'
import { CHAINS } from '../ruleset/chain-names.js'
import { JUMPS } from '../ruleset/base-rules.js'
import type { JumpRule } from '../ruleset/ruleset.js'
import { chainOf, isOurJump } from './ownership.js'

export interface JumpsFound {
  /** To be put before all others of their chain, in this order. */
  readonly missing: readonly JumpRule[]
  /** To be taken out before that: each takes out the first rule that reads so. */
  readonly extra: readonly JumpRule[]
}

/** Whether `jumpsFound` wants to be told of a rule: it stands where the proxy's jumps do, and is one of its making, or of kubelet's. */
export const isJumpOfNote = ({ table, chain, rule }: JumpRule): boolean =>
  PLACES.some((place) => place.table === table && place.chain === chain) &&
  (isOurJump(rule) || formatRule(rule) === KUBELETS)

/**
 * What has to be done about the jumps in the kernel's chains, of which these were found, in order. Those that are there stay
 * where they are as long as putting the others before them gives their order; else all of the chain are put in anew. Those
 * to KUBE-FIREWALL may stand anywhere: kubelet puts them in as well.
 */
export function jumpsFound(there: readonly JumpRule[]): JumpsFound {
  const judged = PLACES.flatMap(({ table, chain }) => {
    const [wanted, found] = [JUMPS, there].map((jumps) =>
      jumps.filter((jump) => jump.table === table && jump.chain === chain),
    )
    return [
      judgeOurs(wanted?.filter(isOurs), found?.filter(isOurs)),
      judgeKubelets(wanted?.filter(isKubelets), found?.filter(isKubelets)),
    ]
  })
  const missing = new Set(judged.flatMap((one) => one.missing))
  return { missing: JUMPS.filter((jump) => missing.has(jump)), extra: judged.flatMap(({ extra }) => extra) }
}

const PLACES = JUMPS.filter(
  ({ table, chain }, at) => at === JUMPS.findIndex((jump) => jump.table === table && jump.chain === chain),
)

const KUBELETS = formatRule({ matches: [], target: { type: 'jump', chain: CHAINS.firewall } })
const isKubelets = ({ rule }: JumpRule): boolean => chainOf(rule) === CHAINS.firewall
const isOurs = (jump: JumpRule): boolean => !isKubelets(jump)

function judgeOurs(wanted: readonly JumpRule[] = [], there: readonly JumpRule[] = []): JumpsFound {
  const lacking = wanted.length - there.length
  const isEnd = lacking >= 0 && textOf(there) === textOf(wanted.slice(lacking))
  return isEnd ? { missing: wanted.slice(0, lacking), extra: [] } : { missing: wanted, extra: there }
}

const textOf = (jumps: readonly JumpRule[]): string => jumps.map(({ rule }) => formatRule(rule)).join('\n')

const judgeKubelets = (wanted: readonly JumpRule[] = [], there: readonly JumpRule[] = []): JumpsFound => ({
  missing: there.length === 0 ? wanted : [],
  extra: wanted.length === 0 ? [] : there.slice(wanted.length),
})
