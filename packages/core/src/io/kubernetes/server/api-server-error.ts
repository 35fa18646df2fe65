/** Why an API server cannot be spoken to, and what to do about it. */
export const API_SERVER_ERRORS = {
  NO_CONFIGURATION: 'no API server configured: give --kubeconfig or --master, or run in a pod',
  KUBECONFIG_INVALID: 'invalid kubeconfig: correct the field named here',
  CONTEXT_NOT_FOUND: 'no such context: use --context with an existing one',
  CREDENTIALS_UNREADABLE: 'the credentials cannot be read: check the file and its permissions',
  EXEC_FAILED: 'the credential plugin failed: run it separately and check its output',
  UNREACHABLE: 'the API server is unreachable: check the address, the network and the server',
  TLS_FAILED: 'TLS verification failed: check both certificates and certificate-authority',
  TIMED_OUT: 'timeout waiting for the API server: check its load and the network',
  CONNECTION_LOST: 'the connection closed during a response: retry',
  BAD_ANSWER: 'the response is not from a Kubernetes API server: check the address',
  CLOSED: 'the connection was closed by this process',
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
