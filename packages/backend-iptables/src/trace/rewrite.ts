import { type Assumption, type Effect, parseAddress, type Surroundings } from '@pointsman/core'
import type { PacketState, RewrittenSource } from './traced-packet.js'

/** What a rule does to a packet that it matches. */
export interface Applied {
  readonly effect: Effect
  readonly packet: PacketState
  readonly assumptions: readonly Assumption[]
}

export interface TargetPlace {
  readonly packet: PacketState
  readonly surroundings: Surroundings
  /** The rules in a chain of the table. Undefined: there is no such chain. */
  readonly rulesIn: (chain: string) => number | undefined
}

export const unchanged = (packet: PacketState, effect: Effect): Applied => ({ effect, packet, assumptions: [] })

/** Where a packet is sent to in place of its own destination. A port that is not named stays. */
export function rewriteDestination(
  packet: PacketState,
  { address, port = packet.destinationPort }: { readonly address: string; readonly port?: number | undefined },
): Applied {
  const isNew = address !== packet.destination || port !== packet.destinationPort
  return {
    effect: { type: 'dnat', address, port },
    packet: {
      ...packet,
      destination: address,
      destinationPort: port,
      translated: true,
      destinationRewritten: packet.destinationRewritten || isNew,
    },
    assumptions: [],
  }
}

export interface SourceRewriting extends RewrittenSource {
  /** What rules see from now on, where the address is not known. */
  readonly otherwise?: string
  /** The port is chosen anew. */
  readonly newPort: boolean
}

/** What its receiver sees as the sender. */
export function rewriteSource(packet: PacketState, { otherwise, newPort, ...rewritten }: SourceRewriting): Applied {
  const source = rewritten.address ?? otherwise ?? packet.source
  return {
    effect: { type: 'snat', ...rewritten },
    packet: {
      ...packet,
      source,
      sourceRewritten: rewritten,
      sourceChanged: packet.sourceChanged || newPort || source !== packet.source,
    },
    assumptions: [],
  }
}

/** `10.244.1.5:8080`, `[fd00::5]:80`, or an address alone, in canonical spelling. */
export function readPlace(text: string): { readonly address: string; readonly port?: number } {
  const [, bracketed, bare, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? []
  const address = bracketed ?? bare ?? text
  return {
    address: parseAddress(address)?.text ?? address,
    ...(port !== undefined && { port: Number(port) }),
  }
}
