import { hash } from 'node:crypto'

/**
 * Sixteen characters of base32 (A-Z, 2-7) over the SHA-256 of a text: the part of a chain's name by which kube-proxy tells
 * service ports and endpoints apart. In iptables it is all of the name but its prefix, which may have 28 characters; nftables
 * takes its first eight, before the names themselves.
 */
export function chainHash(text: string): string {
  const bytes = hash('sha256', text, 'buffer')
  return base32(bytes, 0) + base32(bytes, GROUP_BYTES)
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** Five bytes are eight characters of five bits (RFC 4648, 6). */
const GROUP_BYTES = 5

function base32(bytes: Buffer, offset: number): string {
  // 40 bits are exact in a double; shifts are not, and so it is divided.
  let rest = bytes.readUIntBE(offset, GROUP_BYTES)
  let text = ''
  for (let count = 0; count < 8; count++) {
    text = ALPHABET.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}
