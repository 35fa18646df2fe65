import type { IpFamily } from '@pointsman/core'
import {
  createIptables,
  type Iptables,
  type Run,
  type Variant,
  type VariantChoice,
  type VariantHints,
} from 'node-iptables'
import { type Context, warn } from '../context.js'
import { requireNetAdmin } from './require-net-admin.js'

export interface IptablesWanted {
  readonly variant: 'auto' | Variant
  /** At least one. */
  readonly families: readonly IpFamily[]
  /** Starts its processes. Default: nothing is remembered of them. */
  readonly run?: Run | undefined
}

/**
 * iptables of each family, all of one variant: the wanted one, else the one that this node uses. Says on standard error
 * when rules of Kubernetes are in both. CliError CANNOT without the capability, IptablesError when there is none.
 */
export async function openIptables(
  { variant, families, run }: IptablesWanted,
  context: Context,
): Promise<readonly Iptables[]> {
  requireNetAdmin()
  const limits = { signal: context.interrupted }
  const opened: Iptables[] = []
  for (const family of families) {
    const [first] = opened
    const wanted = first === undefined ? { variant, hints: HINTS } : { variant: first.capabilities.variant }
    const iptables = await createIptables({ family, run, ...wanted }, limits)
    if (iptables.choice?.warning !== undefined) warn(context, iptables.choice.warning)
    opened.push(iptables)
  }
  return opened
}

/** What kubelet leaves for others to see which variant the node uses, new and old. */
const HINTS: VariantHints = { chains: ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'], prefix: 'KUBE-' }

/** `iptables-nft 1.8.9`. */
export const describeIptables = ({ capabilities: { variant, version } }: Pick<Iptables, 'capabilities'>): string =>
  `iptables-${variant} ${version}`

/** Why it is this variant, where nobody said which: ` (kubelet left its hint chain there)`; else nothing. */
export const describeChoice = ({ choice }: Pick<Iptables, 'choice'>): string =>
  choice === undefined ? '' : ` (${REASONS[choice.because]})`

const REASONS: { readonly [because in VariantChoice['because']]: string } = {
  'hint chain': 'kubelet left its hint chain there',
  'more rules': 'the other variant has no more rules',
  'the only one installed': 'the only one installed',
}
