import type { IpFamily } from '@pointsman/core'

/** A restore, as it was sent. */
export interface SentRestore {
  readonly family: IpFamily
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  /** Without line ends. */
  readonly lines: readonly string[]
  /** Why it failed. */
  readonly error?: string
}

/** What iptables-restore can read again; what else there is to say stands in comments. */
export function restoreText(restores: readonly SentRestore[]): string {
  return restores
    .map(({ family, at, lines, error }) => {
      const said = [`${family}, sent at ${new Date(at).toISOString()}`, ...(error?.split('\n') ?? [])]
      return [...said.map((line) => `# ${line}`), ...lines, ''].join('\n')
    })
    .join('\n')
}
