/** Why an API server cannot be spoken to, and what to do about it. */
export const API_SERVER_ERRORS = {
  NO_CONFIGURATION: 'nothing says where the API server is: give --kubeconfig or --master, or run in a pod',
  KUBECONFIG_INVALID: 'the kubeconfig cannot be used: put right what is named here',
  CONTEXT_NOT_FOUND: 'no such context: give one of those that are there with --context',
  CREDENTIALS_UNREADABLE: 'the credentials cannot be used: look at the file and who may read it',
  EXEC_FAILED: 'the credential plugin failed: run it by itself, and look at what it says',
  UNREACHABLE: 'the API server cannot be reached: look at the address, the network and the server',
  TLS_FAILED: 'no trusted connection: look at the certificates of both sides, and at certificate-authority',
  TIMED_OUT: 'the API server did not answer in time: look at its load and at the network',
  CONNECTION_LOST: 'the connection ended in the midst of an answer: ask again',
  BAD_ANSWER: 'what answered does not speak HTTP as an API server does: look at the address',
  CLOSED: 'the connection was closed on our side',
} as const

export type ApiServerErrorCode = keyof typeof API_SERVER_ERRORS

export interface ApiServerErrorInput {
  /** What it is about: the server's URL, or a file and what is named in it. */
  readonly subject: string
  readonly detail?: string
}

/** The message is one line: what it is about, what is wrong, what to do, what exactly was seen. */
export class ApiServerError extends Error {
  override readonly name = 'ApiServerError'
  readonly code: ApiServerErrorCode
  readonly subject: string

  constructor(code: ApiServerErrorCode, { subject, detail }: ApiServerErrorInput, options?: ErrorOptions) {
    super(oneLine(`${subject}: ${API_SERVER_ERRORS[code]}${detail === undefined ? '' : ` (${detail})`}`), options)
    this.code = code
    this.subject = subject
  }
}

const oneLine = (text: string): string => text.trim().replaceAll(/(?<!\s)\s*[\r\n]\s*/g, ' ')
