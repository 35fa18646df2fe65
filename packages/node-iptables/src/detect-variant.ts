import type { Variant } from './iptables.js'

/**
 * The evidence for the variant that other programs on this node use. No chain name is built in: the caller names the chains. On a
 * node of Kubernetes they are the ones that kubelet makes for this, and that the iptables-wrappers of kubernetes-sigs look
 * for: KUBE-IPTABLES-HINT and, of earlier kubelets, KUBE-KUBELET-CANARY.
 */
export interface VariantHints {
  /**
   * Chains that are there, in mangle, where the node's manager uses the variant. Any of them, in either family, decides;
   * where both variants have one, nft, whichever they are: so do the iptables-wrappers, and all on a node have to agree.
   */
  readonly chains: readonly string[]
  /** How the chains begin that must not be in the variant that is not chosen: a warning says so. Hint chains may be. */
  readonly prefix: string
  /** Further chains with this prefix that may be in both: the node's manager has them as well, and a clean-up keeps them. */
  readonly shared?: readonly string[] | undefined
}

/** What one variant's save (of all tables, both families) has. */
export interface VariantEvidence {
  readonly hints: readonly string[]
  readonly rules: number
  /** Chains that begin with the prefix, without hints and shared ones. */
  readonly chains: number
}

export interface VariantChoice {
  readonly variant: Variant
  /** `the only one installed`: or the only one that this kernel has. */
  readonly because: 'hint chain' | 'more rules' | 'the only one installed'
  /** For a person: chains with the prefix exist in the other variant. */
  readonly warning: string | undefined
}

/**
 * By hint chains, else by the number of rules. Undefined evidence: that variant is not installed, or the kernel lacks it.
 * Undefined choice: so it is with both. Equal counts: nft, as the iptables-wrappers choose where there is no hint.
 */
export function chooseVariant(
  evidence: Readonly<Record<Variant, VariantEvidence | undefined>>,
  { prefix }: VariantHints,
): VariantChoice | undefined {
  const { nft, legacy } = evidence
  if (nft === undefined || legacy === undefined) {
    if (nft === legacy) return undefined
    return { variant: nft === undefined ? 'legacy' : 'nft', because: 'the only one installed', warning: undefined }
  }
  const choice = (variant: Variant, because: VariantChoice['because']): VariantChoice => {
    const other = variant === 'nft' ? 'legacy' : 'nft'
    const { chains } = evidence[other] ?? { chains: 0 }
    const own = evidence[variant]?.chains ?? 0
    const where =
      own > 0
        ? `both variants (nft ${nft.chains}, legacy ${legacy.chains})`
        : `${other} (${chains}), and ${variant} is used`
    const warning =
      chains === 0
        ? undefined
        : `chains ${prefix}* exist in ${where}: packets meet both; clean up the one that is no longer used`
    return { variant, because, warning }
  }
  if (nft.hints.length > 0) return choice('nft', 'hint chain')
  if (legacy.hints.length > 0) return choice('legacy', 'hint chain')
  return choice(legacy.rules > nft.rules ? 'legacy' : 'nft', 'more rules')
}

/** Reads one variant's saves, as they come. */
export async function evidenceIn(lines: AsyncIterable<string>, hints: VariantHints): Promise<VariantEvidence> {
  const shared = new Set([...hints.chains, ...(hints.shared ?? [])])
  let table = ''
  let rules = 0
  let chains = 0
  const found = new Set<string>()
  for await (const line of lines) {
    if (line.startsWith('*')) table = line.slice(1)
    else if (line.startsWith('-')) rules += 1
    else if (line.startsWith(':')) {
      const chain = line.slice(1).split(' ')[0] ?? ''
      if (chain.startsWith(hints.prefix) && !shared.has(chain)) chains += 1
      if (table === 'mangle' && hints.chains.includes(chain)) found.add(chain)
    }
  }
  return { hints: hints.chains.filter((chain) => found.has(chain)), rules, chains }
}

/** Each has tables of its own, and programs of its own: iptables and ip6tables. */
export type Family = 'IPv4' | 'IPv6'

/** The three programs of one family and variant. */
export interface Executables {
  readonly iptables: string
  readonly save: string
  readonly restore: string
}

/** Their names, as distributions have them; `auto` is whichever variant the system's alternatives lead to. */
export function executablesOf({ family, variant, folder }: ExecutablesRequest): Executables {
  const base = family === 'IPv4' ? 'iptables' : 'ip6tables'
  const name = `${folder === undefined ? '' : `${folder}/`}${base}${variant === 'auto' ? '' : `-${variant}`}`
  return { iptables: name, save: `${name}-save`, restore: `${name}-restore` }
}

/** Refuses what only JavaScript can say: `ipv4` must not be taken for the other family. Throws a RangeError. */
export function checkFamily(family: string): void {
  if (family === 'IPv4' || family === 'IPv6') return
  throw new RangeError(`family: ${family}: give IPv4 or IPv6`)
}

interface ExecutablesRequest {
  readonly family: Family
  readonly variant: 'auto' | Variant
  /** Where they are. Default: where `searchPath` leads. */
  readonly folder?: string | undefined
}
