import type { Match } from 'node-iptables'

/**
 * A match that takes one packet in `of`. kube-proxy writes the probability with ten decimals, and the kernel keeps it as
 * a number of 31 bits: this is what is left of one in `of` after both.
 */
export const oneIn = (of: number): Match => ({
  type: 'statistic-random',
  negated: false,
  chances: Math.round(Number((1 / of).toFixed(10)) * 2 ** 31),
})
