import { readFileSync } from 'node:fs'

/** The kernel's nf_conntrack_tcp_be_liberal, in this network namespace. Undefined: conntrack is not loaded, or it cannot be read. */
export function tcpBeLiberal(): boolean | undefined {
  try {
    return readFileSync('/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal', 'utf8').trim() !== '0'
  } catch {
    return undefined
  }
}
