import type { IpFamily, ServicePort } from '@pointsman/core'
import type { RecentMatch } from 'node-iptables'

/*
 * Session affinity lives in lists of the kernel (xt_recent), one an endpoint, named like its chain: putting a client on the
 * list, and asking whether it is there.
 */

/** The client was sent to this endpoint within the service's time; older entries are forgotten on the way. */
export const isRemembered = (
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
export const remember = (chain: string, family: IpFamily): RecentMatch => ({
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
