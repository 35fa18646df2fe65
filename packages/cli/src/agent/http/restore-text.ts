import type { SentInput } from '@pointsman/core'

/** What the tool can read again; what else there is to say stands in comments. */
export function restoreText(restores: readonly SentInput[]): string {
  return restores
    .map(({ family, at, lines, error }) => {
      const said = [`${family}, sent at ${new Date(at).toISOString()}`, ...(error?.split('\n') ?? [])]
      return [...said.map((line) => `# ${line}`), ...lines, ''].join('\n')
    })
    .join('\n')
}
