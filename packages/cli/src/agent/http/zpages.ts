import { escapeControls } from '@pointsman/core'

/** Kubernetes' z-pages: for eyes, without any promise about their form. */
const WARNING =
  'Warning: This page is for debugging. It has no fixed format, and may change from one version to the next.\n'

/** The flags in force, by name. */
export function flagzText(flags: Readonly<Record<string, string>>): string {
  const lines = Object.keys(flags)
    .toSorted()
    .map((name) => `${escapeControls(`${name}=${flags[name] ?? ''}`)}\n`)
  return `\npointsman flagz\n${WARNING}\n${lines.join('')}`
}

export interface Status {
  readonly version: string
  /** What runs it: `v20.20.2`. */
  readonly runtimeVersion: string
  /** Milliseconds since 1970 UTC. */
  readonly startedAt: number
  readonly now: number
  readonly paths: readonly string[]
}

export function statuszText({ version, runtimeVersion, startedAt, now, paths }: Status): string {
  const seconds = Math.max(0, Math.floor((now - startedAt) / 1000))
  const pad = (value: number): string => String(value).padStart(2, '0')
  const up = `${Math.floor(seconds / 3600)} hr ${pad(Math.floor(seconds / 60) % 60)} min ${pad(seconds % 60)} sec`
  return [
    '',
    'pointsman statusz',
    WARNING,
    `Started: ${new Date(startedAt).toUTCString()}`,
    `Up: ${up}`,
    `Node version: ${runtimeVersion}`,
    `Binary version: ${version}`,
    '',
    `Paths: ${paths.toSorted().join(' ')}`,
    '',
  ].join('\n')
}
