import { parseAddress, parseCidr } from '../../model/address.js'
import type { KubernetesObject } from '../../model/kubernetes-object.js'
import type { Author } from '../../model/watch-event.js'
import {
  redactManager,
  redactObject,
  redactOperation,
  redactSubresource,
  redactVersion,
  type Redaction,
} from './redact-object.js'

/** Replaces names and addresses consistently: see `createRedactor`. */
export interface Redactor {
  object(object: KubernetesObject): KubernetesObject
  author(author: Author): Author
  /** Of a bookmark. */
  resourceVersion(version: string): string
}

/**
 * Takes every name and address out of objects, and leaves what a service proxy decides by. Every text becomes a
 * pseudonym (the same text the same one) unless it is known to say nothing in its place: the API's own words (`ClusterIP`,
 * `TCP`), times, versions, the well-known keys of labels, annotations and taints, and the names in `KEPT_NAMES`. Addresses and
 * networks keep how they lie in each other. Ports and counts are kept.
 */
export function createRedactor(hash: KeyedHash): Redactor {
  const address = addressRedactor((text) => ((hash(`bit:${text}`)[0] ?? 0) & 1) === 1)
  const redaction: Redaction = { ...pseudonymsFrom(hash), address }
  return {
    object: (object) => redactObject(object, redaction),
    author: ({ manager, operation, time, subresource }) => ({
      manager: redactManager(manager, redaction),
      operation: redactOperation(operation, redaction),
      ...(time !== undefined && { time }),
      ...(subresource !== undefined && { subresource: redactSubresource(subresource, redaction) }),
    }),
    resourceVersion: (version) => redactVersion(version, redaction),
  }
}

/** A keyed hash of a text, of 16 bytes or more: without the key nobody finds the text by trying. */
export type KeyedHash = (text: string) => Uint8Array

/** Pseudonyms of what is no address. One text has one pseudonym, wherever it stands. */
export interface Pseudonyms {
  /** 14 letters that can be spoken, valid as the name of every kind of object, port, label and zone. */
  name(text: string): string
  /** In the form of a UUID. */
  uid(text: string): string
  /** Eight hexadecimal digits. */
  digest(text: string): string
}

/** The same hash gives the same pseudonyms. Names that every cluster has say nothing and are kept. */
function pseudonymsFrom(hash: KeyedHash): Pseudonyms {
  const names = new Map<string, string>()
  return { name, uid, digest }

  function name(text: string): string {
    if (text === '') return text
    // A generateName ends in a dash; what it would make is valid still.
    if (text.length > 1 && text.endsWith('-')) return `${pseudonymOf(text.slice(0, -1))}-`
    return pseudonymOf(text)
  }

  function pseudonymOf(text: string): string {
    if (KEPT_NAMES.has(text)) return text
    const known = names.get(text)
    if (known !== undefined) return known
    const pseudonym = speakable(hash(`name:${text}`))
    names.set(text, pseudonym)
    return pseudonym
  }

  function uid(text: string): string {
    if (text === '') return text
    const hex = hexOf(hash(`uid:${text}`))
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
  }

  function digest(text: string): string {
    return text === '' ? text : hexOf(hash(`digest:${text}`)).slice(0, 8)
  }
}

/** They are in every cluster, and a reader needs them to find their way. */
const KEPT_NAMES: ReadonlySet<string> = new Set(['default', 'kubernetes', 'kube-system'])

const CONSONANTS = 'bcdfghjklmnprstvwxyz'
const VOWELS = 'aeiou'
/** 100 syllables, seven of them: two of a million names are alike once in 200 exports. */
const SYLLABLES = 7

function speakable(bytes: Uint8Array): string {
  let rest = 0n
  for (const byte of bytes.subarray(0, 16)) rest = rest * 256n + BigInt(byte)
  let text = ''
  for (let syllable = 0; syllable < SYLLABLES; syllable++) {
    const index = Number(rest % 100n)
    rest /= 100n
    text += CONSONANTS.charAt(index % 20) + VOWELS.charAt(Math.floor(index / 20))
  }
  return text
}

const hexOf = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** Whether a bit is flipped, from a keyed hash of the family and the bits before it. */
type BitHash = (text: string) => boolean

/**
 * Gives addresses and networks (`10.1.2.3`, `10.1.0.0/16`) pseudonyms that keep what a proxy decides by: two addresses share
 * exactly as many leading bits as before, so that equality, family, and every "lies within" survive. Anything else is
 * answered with undefined. The way is that of Crypto-PAn (Xu, Fan, Ammar, Moon, 2002): each bit is flipped by a keyed hash
 * of the bits before it.
 *
 * Left as they are: 0.0.0.0/8, 127.0.0.0/8, `::`, `::1`, and the bits that make an address multicast, reserved, link-local or
 * unique local, so that a pseudonym is of the same sort. The first bit after those is flipped always: no other address
 * is its own pseudonym.
 */
export function addressRedactor(hash: BitHash): (text: string) => string | undefined {
  const flips = new Map<string, boolean>()
  return (text) => {
    // A text without these is a name: most are, and are not parsed.
    if (!/[.:]/.test(text)) return undefined
    const network = parseCidr(text)
    if (network !== undefined) {
      const [host = '', prefix = ''] = text.split('/')
      const address = redactAddress(host)
      if (address === undefined) return undefined
      const isNetwork = `${parseAddress(host)?.text}/${network.prefix}` === network.text
      return isNetwork ? parseCidr(`${address}/${prefix}`)?.text : `${address}/${prefix}`
    }
    return redactAddress(text)
  }

  function redactAddress(text: string): string | undefined {
    const parsed = parseAddress(text)
    if (parsed === undefined) return undefined
    const width = parsed.family === 'IPv4' ? 32 : 128
    const bits = bitsOf(parsed.text, width)
    if (UNTOUCHED.some((start) => width === start.width && bits.startsWith(start.bits))) return parsed.text
    return addressOf(redactBits(bits))
  }

  function redactBits(bits: string): string {
    const sorts = bits.length === 32 ? IPV4_SORTS : IPV6_SORTS
    let redacted = ''
    let isFirst = true
    for (let length = 0; length < bits.length; length++) {
      const before = bits.slice(0, length)
      const bit = bits.charAt(length)
      if (sorts.some((sort) => sort.length > length && sort.startsWith(before))) redacted += bit
      else {
        redacted += isFirst || isFlipped(`${bits.length}:${before}`) ? flipped(bit) : bit
        isFirst = false
      }
    }
    return redacted
  }

  function isFlipped(before: string): boolean {
    const known = flips.get(before)
    if (known !== undefined) return known
    const flip = hash(before)
    // Prefixes that many addresses share are few; those of single hosts would only fill the memory.
    if (flips.size < MOST_FLIPS) flips.set(before, flip)
    return flip
  }
}

const MOST_FLIPS = 500_000

const flipped = (bit: string): string => (bit === '0' ? '1' : '0')

/** `this network`, loopback, link-local, multicast, reserved: the bits that say so. */
const IPV4_SORTS = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'].map(bitsOfNetwork)
/** Unspecified and loopback, unique local, link-local, multicast. */
const IPV6_SORTS = ['::/128', 'fd00::/8', 'fe80::/10', 'ff00::/8'].map(bitsOfNetwork)

const UNTOUCHED = ['0.0.0.0/8', '127.0.0.0/8', '::/127'].map((network) => ({
  width: network.includes(':') ? 128 : 32,
  bits: bitsOfNetwork(network),
}))

function bitsOfNetwork(text: string): string {
  const [address = '', prefix = ''] = text.split('/')
  return bitsOf(address, address.includes(':') ? 128 : 32).slice(0, Number(prefix))
}

/** The bits of a canonical address as text. */
function bitsOf(address: string, width: 32 | 128): string {
  const groups = parseCidr(`${address}/${width}`)?.groups ?? []
  return groups.map((group) => group.toString(2).padStart(16, '0')).join('')
}

function addressOf(bits: string): string | undefined {
  const [size, radix, separator] = bits.length === 32 ? [8, 10, '.'] : [16, 16, ':']
  const parts = Array.from({ length: bits.length / size }, (_, part) => bits.slice(part * size, (part + 1) * size))
  return parseAddress(parts.map((part) => Number.parseInt(part, 2).toString(radix)).join(separator))?.text
}
