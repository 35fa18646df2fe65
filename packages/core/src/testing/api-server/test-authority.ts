import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP, isIPv6 } from 'node:net'
import { parseCidr } from '../../model/address.js'
import { der } from './der.js'

/** A certificate and the private key that belongs to it, both PEM. */
export interface TestCertificate {
  readonly certificate: string
  readonly key: string
}

export interface CertificateRequest {
  readonly commonName: string
  /** What Kubernetes takes for groups: `system:masters`. */
  readonly organizations?: readonly string[]
  /** IP addresses and DNS names that a server answers to. */
  readonly names?: readonly string[]
  /** Milliseconds since 1970 UTC; default: an hour ago. */
  readonly validFrom?: number
  /** Milliseconds since 1970 UTC; default: in a day. */
  readonly validTo?: number
}

/** A certificate authority that lives as long as a test: made in a millisecond, trusted by nobody else. */
export interface TestAuthority {
  /** Its own certificate, PEM: what a client has to trust (`certificate-authority` of a kubeconfig). */
  readonly certificate: string
  /** For servers and for clients alike. A new key each time. */
  issue(request: CertificateRequest): TestCertificate
}

const HOUR_MS = 3_600_000

/** `now`: milliseconds since 1970 UTC, which the default validity is counted from. */
export function createTestAuthority(commonName = 'Pointsman test authority', now: number = Date.now()): TestAuthority {
  const own = keyPair()
  const issuer = { commonName, key: own.privateKey }
  const validity = { validFrom: now - HOUR_MS, validTo: now + 24 * HOUR_MS }
  return {
    certificate: certificateOf({ commonName, ...validity }, own.publicKey, issuer, AUTHORITY_EXTENSIONS),
    issue(request) {
      const { publicKey, privateKey } = keyPair()
      const extensions = [...LEAF_EXTENSIONS, ...alternativeNames(request.names ?? [])]
      return {
        certificate: certificateOf({ ...validity, ...request }, publicKey, issuer, extensions),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
}

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** RFC 5280, 4.1. */
function certificateOf(
  subject: CertificateRequest & { readonly validFrom: number; readonly validTo: number },
  publicKey: KeyObject,
  issuer: { readonly commonName: string; readonly key: KeyObject },
  extensions: readonly Uint8Array[],
): string {
  const body = der.sequence(
    der.explicit(0, der.integer(Uint8Array.of(2))),
    der.integer(Uint8Array.of(1, ...randomBytes(15))),
    ECDSA_WITH_SHA256,
    nameOf({ commonName: issuer.commonName }),
    der.sequence(der.time(subject.validFrom), der.time(subject.validTo)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(...extensions)),
  )
  const signed = der.sequence(body, ECDSA_WITH_SHA256, der.bits(sign('sha256', body, issuer.key)))
  const lines =
    Buffer.from(signed)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}

const ECDSA_WITH_SHA256 = der.sequence(der.objectId('1.2.840.10045.4.3.2'))

function nameOf({ commonName, organizations = [] }: CertificateRequest): Uint8Array {
  const attribute = (type: string, value: string): Uint8Array =>
    der.set(der.sequence(der.objectId(type), der.text(value)))
  return der.sequence(
    ...organizations.map((organization) => attribute('2.5.4.10', organization)),
    attribute('2.5.4.3', commonName),
  )
}

function extension(id: string, value: Uint8Array, { critical = false } = {}): Uint8Array {
  return der.sequence(der.objectId(id), ...(critical ? [der.boolean(true)] : []), der.octets(value))
}

const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE = '2.5.29.15'
const EXTENDED_KEY_USAGE = '2.5.29.37'
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17'

const AUTHORITY_EXTENSIONS = [
  extension(BASIC_CONSTRAINTS, der.sequence(der.boolean(true)), { critical: true }),
  // Signs certificates and lists of revoked ones.
  extension(KEY_USAGE, der.bits(Uint8Array.of(0x06), { unused: 1 }), { critical: true }),
]

const LEAF_EXTENSIONS = [
  extension(BASIC_CONSTRAINTS, der.sequence(), { critical: true }),
  // Digital signatures.
  extension(KEY_USAGE, der.bits(Uint8Array.of(0x80), { unused: 7 }), { critical: true }),
  // Servers and clients.
  extension(EXTENDED_KEY_USAGE, der.sequence(der.objectId('1.3.6.1.5.5.7.3.1'), der.objectId('1.3.6.1.5.5.7.3.2'))),
]

function alternativeNames(names: readonly string[]): readonly Uint8Array[] {
  if (names.length === 0) return []
  const values = names.map((name) =>
    isIP(name) === 0 ? der.implicit(2, new TextEncoder().encode(name)) : der.implicit(7, addressBytes(name)),
  )
  return [extension(SUBJECT_ALTERNATIVE_NAME, der.sequence(...values))]
}

function addressBytes(address: string): Uint8Array {
  const groups = parseCidr(`${address}/${isIPv6(address) ? 128 : 32}`)?.groups ?? []
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}
