import type { IpFamily } from '../../model/address.js'
import type { Flow } from '../stale-flows.js'

/**
 * A flow in few words: `10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:5353`, with ` zone 5` or ` tcp` behind it. The last
 * part is who answers; left out: the destination itself, untranslated.
 */
export function flowOf(text: string): Flow {
  const [path = '', ...rest] = text.split(/ (?=zone |tcp$)/)
  const [source = '', destination = '', target = destination] = path.split(' > ')
  const [client, front, answering] = [source, destination, target].map(endOf)
  if (client === undefined || front === undefined || answering === undefined) throw new Error(`not a flow: ${text}`)
  return {
    family: client.family,
    protocol: rest.includes('tcp') ? 'tcp' : 'udp',
    zone: Number(rest.find((word) => word.startsWith('zone '))?.slice('zone '.length) ?? 0),
    original: { src: client.address, sport: client.port, dst: front.address, dport: front.port },
    reply: { src: answering.address, sport: answering.port, dst: client.address, dport: client.port },
  }
}

export function flowText({ protocol, zone, original, reply }: Flow): string {
  const ends = [
    { address: original.src, port: original.sport },
    { address: original.dst, port: original.dport },
    { address: reply.src, port: reply.sport },
  ].map(({ address, port }) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`))
  const path = (ends[1] === ends[2] ? ends.slice(0, 2) : ends).join(' > ')
  return `${path}${zone === 0 ? '' : ` zone ${zone}`}${protocol === 'udp' ? '' : ` ${protocol}`}`
}

/** The line in which `conntrack -o extended` prints it. */
export function flowLine({ family, protocol, zone, original, reply }: Flow): string {
  const tuple = ({ src, dst, sport, dport }: Flow['original']): string =>
    `src=${src} dst=${dst} sport=${sport} dport=${dport}`
  const head = `${family === 'IPv4' ? 'ipv4     2' : 'ipv6     10'} ${protocol === 'udp' ? 'udp      17' : 'tcp      6'}`
  return `${head} 29 ${tuple(original)} ${tuple(reply)} mark=0${zone === 0 ? '' : ` zone=${zone}`} use=1`
}

function endOf(
  text: string,
): { readonly family: IpFamily; readonly address: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text.trim())
  const address = match?.[1] ?? match?.[2]
  if (match === null || address === undefined) return undefined
  return { family: address.includes(':') ? 'IPv6' : 'IPv4', address, port: Number(match[3]) }
}
