import type { IpFamily, Route } from '@pointsman/core'
import type { Outcome } from './host.js'
import { addressOf, nameAt, nodeAddresses } from './names.js'
import type { PacketInFamily } from './packet.js'

/*
 * What becomes of a packet, in words that a person can compare:
 *
 *     near-a near-b as sent     it reaches one of these pods, which see the sender's address
 *     far-c as the node         they see an address of the node
 *     refused                   the sender is told at once
 *     no answer                 the sender waits in vain
 *     the node itself           a process of the node answers
 *     the internet              it leaves the node for the rest of the world
 *
 * Pods have 8080 for their port where none is named.
 */

/** The fate that the meaning of the Services gives it. */
export function fateByMeaning({ verdict, endpoints }: Route, { family, to }: PacketInFamily): string {
  switch (verdict) {
    case 'endpoints':
      return fateOf(
        endpoints.map(({ address, port, masqueraded }) => ({
          pod: spelt(address, port),
          seen: masqueraded ? 'as the node' : 'as sent',
        })),
      )
    case 'rejected':
      return 'refused'
    case 'dropped':
      return 'no answer'
    case 'no-service':
      return isOfNode(addressOf(to, family), family) ? 'the node itself' : 'the internet'
  }
}

/** The fate that packets had, which were sent alike. */
export function fateSeen(outcomes: readonly Outcome[], { family }: Pick<PacketInFamily, 'family'>): string {
  const fates = outcomes.map((outcome) => {
    switch (outcome.type) {
      case 'answer':
        return answerIn(outcome, family)
      case 'refused':
        return 'refused'
      case 'no-answer':
        return 'no answer'
      case 'failed':
        return `failed: ${outcome.code}`
    }
  })
  const words = fates.filter((fate) => typeof fate === 'string')
  const pods = fates.filter((fate) => typeof fate !== 'string')
  return [...new Set([...(pods.length > 0 ? [fateOf(pods)] : []), ...words.toSorted()])].join('; ')
}

interface Reached {
  readonly pod: string
  /** How it sees the sender. */
  readonly seen: string
}

function answerIn(answer: Outcome & { readonly type: 'answer' }, family: IpFamily): Reached | string {
  if (answer.host === 'node') return 'the node itself'
  if (answer.host === 'internet') return 'the internet'
  return { pod: spelt(answer.at, answer.port), seen: seenAs(answer, family) }
}

function seenAs({ peer, sender }: { readonly peer: string; readonly sender: string }, family: IpFamily): string {
  if (peer === sender) return 'as sent'
  return nodeAddresses(family).includes(peer) ? 'as the node' : `as ${peer}`
}

/** Pods by how they see the sender; what is seen as it was sent comes first. */
function fateOf(reached: readonly Reached[]): string {
  const ways = [...new Set(reached.map(({ seen }) => seen))].toSorted((a, b) => rank(a) - rank(b))
  return ways
    .map((way) => {
      const pods = reached.filter(({ seen }) => seen === way).map(({ pod }) => pod)
      return `${[...new Set(pods)].toSorted().join(' ')} ${way}`
    })
    .join(', ')
}

const rank = (way: string): number => ['as sent', 'as the node'].indexOf(way)

const spelt = (address: string, port: number): string =>
  `${nameAt(address) ?? address}${port === 8080 ? '' : `:${port}`}`

const isOfNode = (address: string, family: IpFamily): boolean =>
  [...nodeAddresses(family), addressOf('localhost', family)].includes(address)
