import { readdirSync, readFileSync } from 'node:fs'
import {
  buildState,
  keepObject,
  type JsonObject,
  sliceOfEndpoints,
  readProxyConfig,
  type IpFamily,
  type KubernetesObject,
  type ProxyConfig,
  type State,
} from '@pointsman/core'

/** One scenario of fixtures/golden: what a real API server served, and what the real kube-proxy 1.36 made of it. */
export interface Golden {
  readonly config: ProxyConfig
  readonly state: State
  readonly saved: { readonly [family in IpFamily]: string }
}

const FOLDER = new URL('../../../../fixtures/golden/kube-proxy-1.36/', import.meta.url)
const CLASSIC = new URL('../../../../fixtures/golden/kube-proxy-1.20/', import.meta.url)
const TOOL = new URL('../../../../tools/compare-rules.mjs', import.meta.url)

export const GOLDENS: readonly string[] = readdirSync(FOLDER).toSorted()

export function readGolden(scenario: string): Golden {
  const { saved, ...golden } = readScenario(scenario, FOLDER)
  return { ...golden, saved: { IPv4: saved('iptables-save.txt'), IPv6: saved('ip6tables-save.txt') } }
}

/** One scenario of layout `classic`, which is of IPv4 alone: what the real kube-proxy 1.20 made of it; for the layout asked for. */
export interface ClassicGolden extends Pick<Golden, 'config' | 'state'> {
  readonly saved: string
}

export const CLASSIC_GOLDENS: readonly string[] = readdirSync(CLASSIC).toSorted()

export function readClassicGolden(scenario: string, layout: ProxyConfig['layout'] = 'classic'): ClassicGolden {
  const { saved, config, state } = readScenario(scenario, CLASSIC)
  return { config: { ...config, layout }, state, saved: saved('iptables-save.txt') }
}

function readScenario(
  scenario: string,
  folder: URL,
): Pick<Golden, 'config' | 'state'> & { readonly saved: (file: string) => string } {
  const read = (file: string): string => readFileSync(new URL(`${scenario}/${file}`, folder), 'utf8')
  const { config } = readProxyConfig(JSON.parse(read('config.json')))
  const { items: given } = JSON.parse(read('objects.json')) as { readonly items: readonly KubernetesObject[] }
  const items = folder === CLASSIC ? withEndpoints(given) : given
  const objects = items.filter((object) => folder === CLASSIC || !isLeftOut(scenario, object))
  return {
    config,
    state: buildState({ objects, nodeName: config.nodeName }).state,
    saved: read,
  }
}

/** Endpoints in place of EndpointSlices: the kube-proxy 1.20 of these rules read them, as their order shows. */
const withEndpoints = (objects: readonly JsonObject[]): readonly KubernetesObject[] =>
  objects.flatMap((object) => {
    const kept = keepObject(object['kind'] === 'Endpoints' ? sliceOfEndpoints(object) : object)
    return kept === undefined || object['kind'] === 'EndpointSlice' ? [] : [kept]
  })

/** The objects were read from the API server after kube-proxy's rules were saved: it had this Service by then. */
export const WITHOUT_API_SERVICE: ReadonlySet<string> = new Set([
  'external-traffic-policy-local',
  'several-slices-duplicates',
  'skipped-services',
])

const isLeftOut = (scenario: string, { kind, metadata }: KubernetesObject): boolean =>
  WITHOUT_API_SERVICE.has(scenario) &&
  kind === 'Service' &&
  metadata.namespace === 'default' &&
  metadata.name === 'kubernetes'

/** The relation "equal" of two saves; what it gives is the chains that differ. */
export async function differencesOf(expected: string, actual: string): Promise<readonly unknown[]> {
  const { compare } = (await import(TOOL.href)) as {
    readonly compare: (expected: string, actual: string) => readonly unknown[]
  }
  return compare(expected, actual)
}
