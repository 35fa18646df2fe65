/** What the program ends with: an exit status, and what it says on standard error. */
export class Failure extends Error {
  constructor(exitCode, message) {
    super(message.endsWith('\n') ? message : `${message}\n`)
    this.exitCode = exitCode
  }
}
