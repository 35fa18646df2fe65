import type { IpFamily } from '@pointsman/core'

/** One end of a flow's two directions, as the kernel tracks it. Addresses in canonical spelling. */
export interface FlowTuple {
  readonly src: string
  readonly dst: string
  readonly sport: number
  readonly dport: number
}

/** A flow that the kernel's connection tracking knows. */
export interface Flow {
  readonly family: IpFamily
  /** In small letters, as conntrack(8) has it: `udp`. */
  readonly protocol: string
  /** The zone of both directions; 0 where there is none, or one direction alone has one. */
  readonly zone: number
  /** The packets of the side that began. */
  readonly original: FlowTuple
  /** What the answers to them are: their source is whatever the original destination was translated to. */
  readonly reply: FlowTuple
}

/** Whether the flow's packets go to another address or port than they were sent to. */
export const isTranslated = ({ original, reply }: Flow): boolean =>
  reply.src !== original.dst || reply.sport !== original.dport
