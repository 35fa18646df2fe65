import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Folder } from './shop.js'

const GOLDEN_FOLDER = new URL('../../fixtures/golden/kube-proxy-1.36/', import.meta.url)
const COMPARE_RULES = new URL('../../tools/compare-rules.mjs', import.meta.url)

/** The scenarios of what a real kube-proxy 1.36 wrote. */
export const GOLDENS: readonly string[] = readdirSync(GOLDEN_FOLDER).toSorted()

export const SAVE_FILES = ['iptables-save.txt', 'ip6tables-save.txt'] as const
export type SaveFile = (typeof SAVE_FILES)[number]

export interface GoldenFiles {
  /** The objects that kube-proxy knew, and its configuration, as the command takes them. */
  readonly args: readonly string[]
  readonly saved: { readonly [file in SaveFile]: string }
}

/** A scenario as files; the folder takes the objects where some have to be left out. */
export function goldenFiles(scenario: string, folder: Folder): GoldenFiles {
  const path = (file: string): string => fileURLToPath(new URL(`${scenario}/${file}`, GOLDEN_FOLDER))
  return {
    args: ['--objects', objectsOf(scenario, path('objects.json'), folder), '--config', path('config.json')],
    saved: {
      'iptables-save.txt': readFileSync(path('iptables-save.txt'), 'utf8'),
      'ip6tables-save.txt': readFileSync(path('ip6tables-save.txt'), 'utf8'),
    },
  }
}

/** The objects were read from the API server after kube-proxy's rules were saved: it had this Service by then. */
const WITHOUT_API_SERVICE = new Set(['external-traffic-policy-local', 'several-slices-duplicates', 'skipped-services'])

interface Objects {
  readonly items: readonly {
    readonly kind: string
    readonly metadata: { readonly namespace?: string; readonly name: string }
  }[]
}

function objectsOf(scenario: string, path: string, folder: Folder): string {
  if (!WITHOUT_API_SERVICE.has(scenario)) return path
  const { items, ...list } = JSON.parse(readFileSync(path, 'utf8')) as Objects
  const known = items.filter(
    ({ kind, metadata }) => kind !== 'Service' || metadata.namespace !== 'default' || metadata.name !== 'kubernetes',
  )
  const copy = folder.path(`${scenario}.json`)
  writeFileSync(copy, JSON.stringify({ ...list, items: known }))
  return copy
}

/** The relation "equal" of two saves; what it gives is the chains that differ. */
export async function differencesOf(expected: string, actual: string): Promise<readonly unknown[]> {
  const { compare } = (await import(COMPARE_RULES.href)) as {
    readonly compare: (expected: string, actual: string) => readonly unknown[]
  }
  return compare(expected, actual)
}
