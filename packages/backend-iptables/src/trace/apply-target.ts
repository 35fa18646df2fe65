import { assertNever } from '@pointsman/core'
import type { Target } from 'node-iptables'
import { applyOther } from './apply-other.js'
import { readPlace, rewriteDestination, rewriteSource, unchanged, type Applied, type TargetPlace } from './rewrite.js'

export function applyTarget(target: Target | undefined, place: TargetPlace): Applied {
  const { packet } = place
  if (target === undefined) return unchanged(packet, { type: 'continue', what: 'no target' })
  switch (target.type) {
    case 'jump':
      return jumpTo(target.chain, place)
    case 'goto':
      return unchanged(packet, { type: 'goto', chain: target.chain, rules: place.rulesIn(target.chain) ?? 0 })
    case 'MARK': {
      const mark = ((packet.mark & ~target.mask) ^ target.value) >>> 0
      return { effect: { type: 'mark', from: packet.mark, to: mark }, packet: { ...packet, mark }, assumptions: [] }
    }
    case 'DNAT':
      return rewriteDestination(packet, readPlace(target.to))
    case 'SNAT':
      return rewriteSource(packet, { by: 'SNAT', address: readPlace(target.to).address })
    case 'MASQUERADE':
      return masquerade(place)
    case 'REJECT':
      return unchanged(packet, { type: 'reject', with: target.with ?? DEFAULT_REJECTION[packet.family] })
    case 'other':
      return applyOther(target, place)
    default:
      return assertNever(target)
  }
}

/** The address of the interface that the packet leaves by: of a node with several, rules see the first. */
function masquerade({ packet, surroundings: { nodeAddresses } }: TargetPlace): Applied {
  const [address, ...more] = nodeAddresses.filter((text) => text.includes(':') === (packet.family === 'IPv6'))
  if (address === undefined) {
    const message = 'no address of the node is known that MASQUERADE could give the packet'
    return { ...rewriteSource(packet, { by: 'MASQUERADE' }), assumptions: [{ code: 'NODE_ADDRESS', message }] }
  }
  if (more.length > 0) return rewriteSource(packet, { by: 'MASQUERADE' }, address)
  return rewriteSource(packet, { by: 'MASQUERADE', address })
}

function jumpTo(chain: string, place: TargetPlace): Applied {
  const { packet, rulesIn } = place
  const rules = rulesIn(chain)
  if (rules !== undefined) return unchanged(packet, { type: 'jump', chain, rules })
  switch (chain) {
    case 'ACCEPT':
      return unchanged(packet, { type: 'accept' })
    case 'DROP':
      return unchanged(packet, { type: 'drop' })
    case 'RETURN':
      return unchanged(packet, { type: 'return' })
    default:
      return applyOther({ name: chain, words: [] }, place)
  }
}

const DEFAULT_REJECTION = { IPv4: 'icmp-port-unreachable', IPv6: 'icmp6-port-unreachable' } as const
