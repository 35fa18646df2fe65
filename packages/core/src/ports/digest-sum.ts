import { hash } from 'node:crypto'

/**
 * A digest of a collection without an order: the sum of the SHA-256 of each part, modulo 2^256. Parts are added to it and taken
 * from it, so that a small change costs little. The digest of nothing is 0n.
 */
export type DigestSum = bigint

export const digestOfPart = (text: string): DigestSum => BigInt(`0x${hash('sha256', text)}`)

export const plusDigest = (a: DigestSum, b: DigestSum): DigestSum => (a + b) % MODULUS

export const minusDigest = (a: DigestSum, b: DigestSum): DigestSum => (a - b + MODULUS) % MODULUS

/** 64 hexadecimal digits. */
export const digestSumText = (sum: DigestSum): string => sum.toString(16).padStart(64, '0')

const MODULUS = 2n ** 256n
