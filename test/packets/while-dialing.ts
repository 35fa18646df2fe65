import type { DialTally } from './host.js'
import type { Network } from './network.js'
import type { DialedService } from './thousands.js'

/** What became of dials. */
export interface Dialed {
  /** Of each service, in their order. */
  readonly tallies: readonly DialTally[]
  /** First packets of connections that the client had to send again, because nothing came back. */
  readonly sentAgain: number
}

/** Dials the services all the time that the work takes, and each at least once before and once after it. */
export async function whileDialing(
  network: Network,
  services: readonly DialedService[],
  work: () => Promise<void>,
): Promise<Dialed> {
  const before = synsSentAgain(network)
  const hosts = [...new Set(services.map(({ host }) => host))]
  const ends = await Promise.all(
    hosts.map(async (host) => {
      const own = services.filter((service) => service.host === host)
      const targets = own.map(({ from, to }) => ({ from, to, port: 80 }))
      const hangUp = await network.dial(host, targets, { timeoutMs: 5000, pauseMs: 40 })
      return async () => (await hangUp()).map((tally, at) => [own[at], tally] as const)
    }),
  )
  await work()
  const tallies = new Map((await Promise.all(ends.map((end) => end()))).flat())
  return {
    tallies: services.map((service) => tallies.get(service) ?? {}),
    sentAgain: synsSentAgain(network) - before,
  }
}

/** Of each kind of service, how many dials had which outcome. */
export function countsOf(
  { tallies }: Dialed,
  services: readonly DialedService[],
): Readonly<Record<string, Readonly<Record<string, number>>>> {
  const counts: Record<string, Record<string, number>> = {}
  for (const [at, tally] of tallies.entries()) {
    const ofKind = (counts[services[at]?.what ?? ''] ??= {})
    for (const [outcome, { count }] of Object.entries(tally)) ofKind[outcome] = (ofKind[outcome] ?? 0) + count
  }
  return counts
}

/** The outcomes that no rules of a service give, before or after its change: how many, of which kind of service. */
export const failuresIn = ({ tallies }: Dialed, services: readonly DialedService[]): readonly string[] =>
  tallies.flatMap((tally, at) => {
    const service = services[at]
    return Object.entries(tally).flatMap(([outcome, { count }]) =>
      service?.allowed.includes(outcome) === true
        ? []
        : [`${count} x ${outcome}: ${service?.to}, which ${service?.what}`],
    )
  })

/** The kernel counts them for each network namespace: lines of names and lines of numbers, in pairs. */
function synsSentAgain(network: Network): number {
  const lines = network.run('client', 'cat', '/proc/net/netstat').split('\n')
  const [names = [], values = []] = lines.filter((line) => line.startsWith('TcpExt:')).map((line) => line.split(' '))
  return Number(values[names.indexOf('TCPSynRetrans')])
}
