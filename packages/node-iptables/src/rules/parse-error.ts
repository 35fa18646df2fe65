/** Why a text is not what iptables-save prints or iptables-restore reads. A code is a contract: added, not renamed. */
export const IPTABLES_PARSE_ERRORS = {
  UNKNOWN_LINE: 'not a line of a restore: a table, a chain, a rule, COMMIT or a comment is expected',
  LINE_TOO_LONG: 'the line has more than 10240 characters or 255 words, which no iptables-restore takes',
  OUTSIDE_TABLE: 'chains and rules stand between a table line (`*nat`) and its COMMIT',
  UNFINISHED_TABLE: 'the table has no COMMIT: the text was cut off',
  UNCLOSED_QUOTE: 'a quotation begins and does not end in this line',
  BAD_NAME: 'no name that a table, chain, match or target can have',
  BAD_COUNTERS: 'counters are two whole numbers: [PACKETS:BYTES]',
  BAD_VALUE: 'the option does not take this value',
  MISSING_VALUE: 'the option needs a value',
  REPEATED_OPTION: 'the option may stand once in a rule',
  UNKNOWN_OPTION: 'neither a general option nor one of the matches and the target of this rule',
  AMBIGUOUS: 'it cannot be told whether this is an option or the value of the unknown option before it',
  UNDECLARED_CHAIN: 'the table has no line for this chain (`:NAME - [0:0]`) before its rules',
  REPEATED_CHAIN: 'the table has two lines for this chain',
  NOT_A_SAVE: 'a save has tables, chains, rules that are appended and COMMIT alone',
} as const

export type IptablesParseErrorCode = keyof typeof IPTABLES_PARSE_ERRORS

/** Where in the text, and what there is. */
export interface ParseErrorPlace {
  /** From 1. */
  readonly line: number
  /** The whole line. */
  readonly text: string
  /** The words that are wrong. */
  readonly found?: string | undefined
}

/** The only error of the parser. Match on `code`. */
export class IptablesParseError extends Error {
  override readonly name = 'IptablesParseError'
  readonly code: IptablesParseErrorCode
  readonly line: number
  readonly text: string
  readonly found: string | undefined

  constructor(code: IptablesParseErrorCode, { line, text, found }: ParseErrorPlace) {
    super(
      `line ${line}: ${found === undefined ? '' : `${JSON.stringify(shortened(found))}: `}${IPTABLES_PARSE_ERRORS[code]}; in ${JSON.stringify(shortened(text))}`,
    )
    this.code = code
    this.line = line
    this.text = text
    this.found = found
  }
}

const SHOWN_LENGTH = 200

const shortened = (text: string): string => (text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}…`)
