/** What can be wrong with a question about a packet. */
export const ROUTE_ERROR_CODES = {
  NOT_AN_ADDRESS: 'the source or the destination is not an IP address',
  NOT_A_PORT: 'the port is not a whole number from 1 to 65535',
  UNKNOWN_PROTOCOL: 'the protocol is none of TCP, UDP and SCTP',
  FAMILY_MISMATCH: 'the source and the destination are of different IP families',
} as const
export type RouteErrorCode = keyof typeof ROUTE_ERROR_CODES

/** A packet that cannot be one. The message is one line for the person who asked; programs look at `code`. */
export class RouteError extends Error {
  readonly code: RouteErrorCode

  constructor(code: RouteErrorCode, message: string) {
    super(message)
    this.name = 'RouteError'
    this.code = code
  }
}
