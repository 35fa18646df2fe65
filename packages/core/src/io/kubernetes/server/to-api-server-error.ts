import { ApiServerError, type ApiServerErrorCode } from './api-server-error.js'

/** What Node reported of a connection, as an ApiServerError. `connected`: whether there was one, TLS included. */
export function toApiServerError(
  cause: unknown,
  { subject, connected }: { readonly subject: string; readonly connected: boolean },
): ApiServerError {
  if (cause instanceof ApiServerError) return cause
  const code = codeOf(cause)
  const message = cause instanceof Error && cause.message !== '' ? cause.message : code
  const detail = message.includes(code) ? message : `${code}: ${message}`
  return new ApiServerError(
    meaningOf(code, connected),
    { subject, detail: detail + adviceFor(code, message) },
    { cause },
  )
}

function meaningOf(code: string, connected: boolean): ApiServerErrorCode {
  if (code.startsWith('HPE_')) return 'BAD_ANSWER'
  if (TLS.test(code)) return 'TLS_FAILED'
  return connected ? 'CONNECTION_LOST' : 'UNREACHABLE'
}

// OpenSSL's reasons for not trusting a certificate, and its and Node's own errors: https://nodejs.org/api/tls.html#x509-certificate-error-codes.
const TLS =
  /^(?:ERR_SSL|ERR_TLS|EPROTO|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH|HOSTNAME_|OUT_OF_MEM)|SELF_SIGNED/

function adviceFor(code: string, message: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return '; tls-server-name says which name to expect'
  return NO_TLS.test(message) ? '; it may speak plain HTTP' : ''
}

// How OpenSSL 3 and the ones before and after it say that the first bytes are no TLS record.
const NO_TLS = /wrong version number|packet length too long|record layer failure/i

const codeOf = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'UNKNOWN'
