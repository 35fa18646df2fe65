import type { KubernetesObject } from '../../model/kubernetes-object.js'
import type { Author } from '../../model/watch-event.js'
import { addressRedactor } from './redact-address.js'
import {
  type Redaction,
  redactManager,
  redactObject,
  redactOperation,
  redactSubresource,
  redactVersion,
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
