import { assertNever } from '@pointsman/core'
import type { Target } from 'node-iptables'
import { applyOther } from './apply-other.js'
import { isOwnAddress } from './traced-packet.js'
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
      return rewriteSource(packet, { by: 'SNAT', address: readPlace(target.to).address, newPort: choosesPort(target) })
    case 'MASQUERADE':
      return masquerade(place, choosesPort(target))
    case 'REJECT':
      return unchanged(packet, { type: 'reject', with: target.with ?? DEFAULT_REJECTION[packet.family] })
    case 'other':
      return applyOther(target, place)
    default:
      return assertNever(target)
  }
}

type SourceTarget = Extract<Target, { readonly type: 'SNAT' | 'MASQUERADE' }>

const choosesPort = (target: SourceTarget): boolean =>
  target.random ||
  target.randomFully ||
  (target.type === 'SNAT' ? readPlace(target.to).port !== undefined : target.ports !== undefined)

/** The address of the interface that the packet leaves by: of a node with several, rules see the first. */
function masquerade({ packet, surroundings }: TargetPlace, newPort: boolean): Applied {
  const { family, destination } = packet
  const by = 'MASQUERADE' as const
  // What goes to an address of the node comes from that address, as the kernel chooses in IPv6.
  if (family === 'IPv6' && isOwnAddress(surroundings, destination)) {
    return rewriteSource(packet, { by, address: destination, newPort })
  }
  const [address, ...more] = surroundings.nodeAddresses.filter((text) => text.includes(':') === (family === 'IPv6'))
  if (address === undefined) {
    const message = 'no address of the node is known that MASQUERADE could give the packet'
    return { ...rewriteSource(packet, { by, newPort }), assumptions: [{ code: 'NODE_ADDRESS', message }] }
  }
  if (more.length > 0) return rewriteSource(packet, { by, otherwise: address, newPort })
  return rewriteSource(packet, { by, address, newPort })
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
