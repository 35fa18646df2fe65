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
  return new ApiServerError(meaningOf(code, connected), { subject, detail: detail + adviceFor(code) }, { cause })
}

function meaningOf(code: string, connected: boolean): ApiServerErrorCode {
  if (code.startsWith('HPE_')) return 'BAD_ANSWER'
  if (TLS.test(code)) return 'TLS_FAILED'
  return connected ? 'CONNECTION_LOST' : 'UNREACHABLE'
}

// OpenSSL's reasons for not trusting a certificate, and its and Node's own errors: https://nodejs.org/api/tls.html#x509-certificate-error-codes.
const TLS =
  /^(?:ERR_SSL|ERR_TLS|EPROTO|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH|HOSTNAME_|OUT_OF_MEM)|SELF_SIGNED/

function adviceFor(code: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return '; tls-server-name says which name to expect'
  return code.includes('WRONG_VERSION_NUMBER') ? '; it may speak plain HTTP' : ''
}

const codeOf = (cause: unknown): string =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'UNKNOWN'
