/** What can be wrong with a question about a packet, or with the rules that it is asked about. */
export const TRACE_ERRORS = {
  NOT_AN_ADDRESS: 'the source or the destination is not an IP address',
  NOT_A_PORT: 'a port is not a whole number from 1 to 65535',
  FAMILY_MISMATCH: 'the source and the destination are of different IP families',
  OTHER_FAMILY: 'the rules are of the other IP family than the packet',
  TABLE_TWICE: 'the rules have a table twice: they are more than one save',
  RULE_LOOP: 'the rules lead back to a chain that the packet is in, which no kernel takes',
  TOO_DEEP: 'chains lead into each other more than 256 deep; nf_tables takes 16',
  TOO_MANY_WAYS: 'there are too many ways to tell one by one, or too many rules on them to try',
} as const
export type TraceErrorCode = keyof typeof TRACE_ERRORS

/** The message is one line for the person who asked; programs look at `code`. */
export class TraceError extends Error {
  override readonly name = 'TraceError'
  readonly code: TraceErrorCode

  constructor(code: TraceErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
