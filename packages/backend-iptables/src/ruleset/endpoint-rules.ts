import { type Endpoint, endpointKey, type IpFamily, type ServicePort } from '@pointsman/core'
import { addressOf, type Match, type RecentMatch, type Rule } from 'node-iptables'
import { CHAINS, endpointChainName } from './layout.js'
import { anyPort, comment, from, jumpTo, protocolOf } from './matches.js'
import type { PortPlan } from './context.js'
import type { ChainRules } from './ruleset.js'

/** What the rules that spread say of themselves; undefined: nothing. */
interface SpreadComments {
  readonly remembered: (endpoint: Endpoint) => string | undefined
  readonly balanced: (endpoint: Endpoint, index: number) => string | undefined
}

/** KUBE-SVC- and KUBE-SVL-: each packet that gets here goes to one of the endpoints, each with the same odds. */
export function spreadRules(
  plan: PortPlan,
  endpoints: readonly Endpoint[],
  { remembered, balanced }: SpreadComments = commentsOf(plan),
): readonly Rule[] {
  const { port } = plan
  const targets = endpoints.map((endpoint) => ({ endpoint, chain: endpointChainName(port, endpoint) }))
  return [
    // A client that is remembered goes where it went before; only then is there a choice.
    ...(port.affinitySeconds === 0
      ? []
      : targets.map(({ endpoint, chain }) =>
          ruleTo(chain, remembered(endpoint), [isRemembered(port, chain, plan.context.family)]),
        )),
    // One in n takes its share, one in n - 1 an equal share of the rest, and so on; the last takes what is left.
    ...targets.map(({ endpoint, chain }, index) => {
      const left = targets.length - index
      return ruleTo(chain, balanced(endpoint, index), left === 1 ? [] : [oneIn(left)])
    }),
  ]
}

function commentsOf({ name, context: { layout, endpointComments } }: PortPlan): SpreadComments {
  const named = (endpoint: Endpoint): string | undefined =>
    endpointComments ? (layout.name === 'classic' ? name : `${name} -> ${endpointKey(endpoint)}`) : undefined
  return { remembered: named, balanced: named }
}

const ruleTo = (chain: string, name: string | undefined, matches: readonly Match[]): Rule => ({
  matches: [...(name === undefined ? [] : [comment(name)]), ...matches],
  target: jumpTo(chain),
})

/**
 * A match that takes one packet in `of`. kube-proxy writes the probability with ten decimals, and the kernel keeps it as
 * a number of 31 bits: this is what is left of one in `of` after both.
 */
const oneIn = (of: number): Match => ({
  type: 'statistic-random',
  negated: false,
  chances: Math.round(Number((1 / of).toFixed(10)) * 2 ** 31),
})

/** KUBE-SEP-: gives packets to one endpoint. */
export function endpointChain({ port, name, context }: PortPlan, endpoint: Endpoint): ChainRules {
  const chain = endpointChainName(port, endpoint)
  const named = context.endpointComments ? [comment(name)] : []
  const remembered = port.affinitySeconds === 0 ? [] : [remember(chain, context.family)]
  return {
    table: 'nat',
    chain,
    rules: [
      // An endpoint that reaches itself by its service would see its own address, and answer to itself: hairpin.
      { ...from(endpoint.address), matches: named, target: jumpTo(CHAINS.markMasq) },
      {
        ...protocolOf(port.protocol),
        matches: [...named, ...remembered, anyPort(port.protocol)],
        target: { type: 'DNAT', to: place(endpoint), random: false, persistent: false },
      } satisfies Rule,
    ],
  }
}

/** In the kernel's spelling, which differs from Kubernetes' for some IPv6 addresses. */
function place({ address, port }: Endpoint): string {
  if (!address.includes(':')) return `${address}:${port}`
  const spelt = addressOf(address)
  if (spelt === undefined) throw new Error(`not an address: ${JSON.stringify(address)}`)
  return `[${spelt}]:${port}`
}

/*
 * Session affinity lives in lists of the kernel (xt_recent), one an endpoint, named like its chain: putting a client on the
 * list, and asking whether it is there.
 */

/** The client was sent to this endpoint within the service's time; older entries are forgotten on the way. */
const isRemembered = (
  { affinitySeconds }: Pick<ServicePort, 'affinitySeconds'>,
  chain: string,
  family: IpFamily,
): RecentMatch => ({
  ...recent(chain, family),
  operation: 'rcheck',
  seconds: affinitySeconds,
  reap: true,
})

/** Always matches, and remembers the client. */
const remember = (chain: string, family: IpFamily): RecentMatch => ({
  ...recent(chain, family),
  operation: 'set',
})

/** By its whole source address, which is what a rule means that says nothing. */
const recent = (chain: string, family: IpFamily): Omit<RecentMatch, 'operation'> => ({
  type: 'recent',
  negated: false,
  reap: false,
  rttl: false,
  name: chain,
  mask: family === 'IPv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  side: 'source',
})
