import { existsSync } from 'node:fs'
import type { IpFamily, Machine, RuleTool } from '@pointsman/core'
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
import { CHAIN_PREFIX, CHAINS } from '../ruleset/layout.js'

export interface IptablesWanted {
  readonly variant: 'auto' | Variant
  /** At least one. */
  readonly families: readonly IpFamily[]
  /** Starts its processes. Default: nothing is remembered of them. */
  readonly run?: Run | undefined
  /** A family that this machine lacks is left out with a warning, as long as there is another. Default: it is an error. */
  readonly leaveOut?: boolean | undefined
  /** Whether the kernel has a family. Default: looked for in /proc. */
  readonly isInKernel?: ((family: IpFamily) => boolean) | undefined
  /** What one command may take. Default: no limit. */
  readonly timeoutMs?: number | undefined
}

/**
 * iptables of each family, all of one variant: the wanted one, else the one that this node uses. Warns when rules of
 * Kubernetes are in both. IptablesError when there is none; whatever `requireNetAdmin` throws.
 */
export async function openIptables(
  { variant, families, run, leaveOut = false, isInKernel = isFamilyInKernel, timeoutMs }: IptablesWanted,
  machine: Pick<Machine, 'requireNetAdmin' | 'signal' | 'warn'>,
): Promise<readonly Iptables[]> {
  machine.requireNetAdmin()
  const limits = { signal: machine.signal }
  const opened: Iptables[] = []
  const absent: IptablesError[] = []
  for (const family of families) {
    const [first] = opened
    const wanted = first === undefined ? { variant, hints: HINTS } : { variant: first.capabilities.variant }
    try {
      if (leaveOut && !isInKernel(family)) throw notInKernel(family)
      const iptables = await createIptables({ family, run, timeoutMs, ...wanted }, limits)
      if (iptables.choice?.warning !== undefined) machine.warn(iptables.choice.warning)
      opened.push(iptables)
    } catch (error) {
      if (!leaveOut || !(error instanceof IptablesError) || !ABSENT.has(error.code)) throw error
      absent.push(error)
    }
  }
  const [lacking] = absent
  if (opened.length === 0 && lacking !== undefined) throw lacking
  for (const error of absent) machine.warn(`continuing without this family: ${error.message}`)
  return opened
}

const ABSENT: ReadonlySet<IptablesErrorCode> = new Set<IptablesErrorCode>(['NOT_FOUND', 'NO_KERNEL_SUPPORT'])

/** The list is there, if empty, unless the kernel runs without IPv6. */
const IPV6_ADDRESSES = '/proc/net/if_inet6'
const isFamilyInKernel = (family: IpFamily): boolean => family === 'IPv4' || existsSync(IPV6_ADDRESSES)
const notInKernel = (family: IpFamily): IptablesError =>
  new IptablesError('NO_KERNEL_SUPPORT', {
    argv: [family === 'IPv4' ? 'iptables' : 'ip6tables'],
    stderr: `there is no ${family}`,
  })

/** What kubelet leaves for others to see which variant the node uses, new and old. */
const HINTS: VariantHints = {
  chains: ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'],
  prefix: CHAIN_PREFIX,
  // Kubelets make them as well, so `cleanup` keeps them.
  shared: [CHAINS.firewall, CHAINS.markDrop],
}

/**
 * iptables of both families, and of each variant that is installed where none is named. The IptablesError of the last that
 * was looked for when there is none at all; whatever `requireNetAdmin` throws.
 */
export async function openInstalled(
  variant: 'auto' | Variant,
  machine: Pick<Machine, 'requireNetAdmin' | 'signal'>,
): Promise<readonly Iptables[]> {
  machine.requireNetAdmin()
  const variants: readonly Variant[] = variant === 'auto' ? ['nft', 'legacy'] : [variant]
  const opened: Iptables[] = []
  let missing: unknown
  for (const wanted of variants) {
    for (const family of ['IPv4', 'IPv6'] as const) {
      try {
        opened.push(await createIptables({ family, variant: wanted }, { signal: machine.signal }))
      } catch (error) {
        if (!(error instanceof IptablesError) || error.code !== 'NOT_FOUND') throw error
        missing = error
      }
    }
  }
  if (opened.length === 0) throw missing
  return opened
}

/** `iptables-nft 1.8.9`. */
export const describeIptables = ({ capabilities: { variant, version } }: Pick<Iptables, 'capabilities'>): string =>
  `iptables-${variant} ${version}`

export const toolOf = (iptables: Pick<Iptables, 'capabilities'>): RuleTool => ({
  name: describeIptables(iptables),
  fields: { variant: iptables.capabilities.variant, iptables: iptables.capabilities.version },
})

/** Why it is this variant, where nobody said which: ` (it has kubelet's hint chain)`; else nothing. */
export const describeChoice = ({ choice }: Pick<Iptables, 'choice'>): string =>
  choice === undefined ? '' : ` (${REASONS[choice.because]})`

const REASONS: { readonly [because in VariantChoice['because']]: string } = {
  'hint chain': "it has kubelet's hint chain",
  'more rules': 'it has at least as many rules as the other variant',
  'the only one installed': 'the only one installed',
}

/** The same iptables, which reports as it goes how many lines it has read and restored, one run after the other. */
export function withProgress(iptables: Iptables, { onProgress }: Pick<Machine, 'onProgress'>): Iptables {
  if (onProgress === undefined) return iptables
  const counting = (doing: 'read' | 'restored'): (() => void) => {
    let lines = 0
    return () => {
      lines += 1
      if (lines % LINES_A_LOOK === 0) onProgress({ family: iptables.family, doing, lines })
    }
  }
  const countRead = counting('read')
  const countRestored = counting('restored')
  return {
    ...iptables,
    async *saveLines(what, limits) {
      for await (const line of iptables.saveLines(what, limits)) {
        countRead()
        yield line
      }
    },
    restore(request, limits) {
      if (!('lines' in request) || typeof request.lines !== 'function') return iptables.restore(request, limits)
      const { lines } = request
      const counted = async function* (): AsyncGenerator<string> {
        for await (const line of lines()) {
          countRestored()
          yield line
        }
      }
      return iptables.restore({ ...request, lines: counted }, limits)
    },
  }
}

const LINES_A_LOOK = 500
