import type { Assumption, DependenceCode, Trace } from '@pointsman/core'

/** An unknown fact that a verdict depends on: a clause for a person, and the option of `trace` that says it. */
export interface Dependence {
  readonly code: DependenceCode
  readonly text: string
  readonly option?: string | undefined
}

/** How to say what is known. */
const OPTIONS: { readonly [code in DependenceCode]?: string } = {
  SET_MEMBER: '--ipset',
  IN_INTERFACE: '--in-interface',
  OUT_INTERFACE: '--out-interface',
  BRIDGE_PORT: '--physdev-in, --physdev-out',
  SOURCE_PORT: 'SOURCE:PORT',
  SOURCE_ADDRESS: '--interface-address',
  MAC_ADDRESS: '--mac',
  OWNER: '--uid, --gid',
  RECENT: '--affinity',
  NODE_ADDRESS: '--node-address, --ipset',
}

/** Each once, in the order in which rules ask. */
export function dependencesOf({ dependsOn = [], ways }: Trace): readonly Dependence[] {
  const found = new Map<string, Dependence>()
  const add = ({ code, text }: Pick<Dependence, 'code' | 'text'>): void =>
    void found.set(text, { code, text, option: OPTIONS[code] })
  for (const one of dependsOn) add(one)
  for (const { end } of ways) if (end.fate === 'depends') add({ code: 'PROGRAM', text: end.on })
  return [...found.values()]
}

/** `known`: it follows from the rules and the input alone. */
export function certaintyOf(trace: Trace, assumptions: readonly Assumption[]): 'known' | 'assumed' | 'depends' {
  if (trace.cases !== undefined || trace.fates.some(({ fate }) => fate === 'depends')) return 'depends'
  return assumptions.length > 0 ? 'assumed' : 'known'
}

/** 0: it reaches endpoints, 1: it does not, or may not by chance, 4: that depends on unknown facts. */
export function exitStatusOf({ fate, fates }: Trace): 0 | 1 | 4 {
  if (fate === 'depends' || fates.some((one) => one.fate === 'depends')) return 4
  return fates.every((one) => one.fate === 'endpoints') ? 0 : 1
}
