/** Data that no line of iptables can say: a name with a space, a comment with a line end, a network that is none. */
export class IptablesFormatError extends Error {
  override readonly name = 'IptablesFormatError'
  readonly code = 'UNSAYABLE'

  constructor(what: string) {
    super(`no rule of iptables can say this: ${JSON.stringify(what)}`)
  }
}
