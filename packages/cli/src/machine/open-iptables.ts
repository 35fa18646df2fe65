import { existsSync } from 'node:fs'
import type { IpFamily } from '@pointsman/core'
import {
  createIptables,
  type Iptables,
  IptablesError,
  type IptablesErrorCode,
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
  /** A family that this machine does not have is left out and said, as long as there is another. Default: it is an error. */
  readonly leaveOut?: boolean | undefined
  /** Whether the kernel has a family. Default: looked for in /proc. */
  readonly isInKernel?: ((family: IpFamily) => boolean) | undefined
  /** What one command may take. Default: no limit. */
  readonly timeoutMs?: number | undefined
}

/**
 * iptables of each family, all of one variant: the wanted one, else the one that this node uses. Says on standard error
 * when rules of Kubernetes are in both. CliError CANNOT without the capability, IptablesError when there is none.
 */
export async function openIptables(
  { variant, families, run, leaveOut = false, isInKernel = isFamilyInKernel, timeoutMs }: IptablesWanted,
  context: Context,
): Promise<readonly Iptables[]> {
  requireNetAdmin()
  const limits = { signal: context.interrupted }
  const opened: Iptables[] = []
  const absent: IptablesError[] = []
  for (const family of families) {
    const [first] = opened
    const wanted = first === undefined ? { variant, hints: HINTS } : { variant: first.capabilities.variant }
    try {
      if (leaveOut && !isInKernel(family)) throw notInKernel(family)
      const iptables = await createIptables({ family, run, timeoutMs, ...wanted }, limits)
      if (iptables.choice?.warning !== undefined) warn(context, iptables.choice.warning)
      opened.push(iptables)
    } catch (error) {
      if (!leaveOut || !(error instanceof IptablesError) || !ABSENT.has(error.code)) throw error
      absent.push(error)
    }
  }
  const [lacking] = absent
  if (opened.length === 0 && lacking !== undefined) throw lacking
  for (const error of absent) warn(context, `going on without this family: ${error.message}`)
  return opened
}

const ABSENT: ReadonlySet<IptablesErrorCode> = new Set<IptablesErrorCode>(['NOT_FOUND', 'NO_KERNEL_SUPPORT'])

/** The list is there, if empty, wherever the kernel has not been told to be without IPv6. */
const IPV6_ADDRESSES = '/proc/net/if_inet6'
const isFamilyInKernel = (family: IpFamily): boolean => family === 'IPv4' || existsSync(IPV6_ADDRESSES)
const notInKernel = (family: IpFamily): IptablesError =>
  new IptablesError('NO_KERNEL_SUPPORT', {
    argv: [family === 'IPv4' ? 'iptables' : 'ip6tables'],
    stderr: `there is no ${family}`,
  })

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
