import { readdirSync, readFileSync } from 'node:fs'
import {
  buildState,
  readProxyConfig,
  type IpFamily,
  type KubernetesObject,
  type ProxyConfig,
  type State,
} from '@pointsman/core'

/** One scenario: what a real API server served, and what the real kube-proxy 1.36 made of it in its nftables mode. */
export interface Golden {
  readonly config: ProxyConfig
  readonly state: State
  /** `nft -s -j list table`, without handles. */
  readonly listing: { readonly [family in IpFamily]: string }
  /** The same as nft prints it for people. */
  readonly text: { readonly [family in IpFamily]: string }
}

const FOLDER = new URL('../../../../fixtures/golden/kube-proxy-1.36-nftables/', import.meta.url)

export const GOLDENS: readonly string[] = readdirSync(FOLDER).toSorted()

export const GOLDEN_CASES = GOLDENS.flatMap((scenario) =>
  (['IPv4', 'IPv6'] as const).map((family) => [scenario, family] as const),
)

export function readGolden(scenario: string): Golden {
  const read = (file: string): string => readFileSync(new URL(`${scenario}/${file}`, FOLDER), 'utf8')
  const { config } = readProxyConfig(JSON.parse(read('config.json')), { anyMode: true })
  const { items } = JSON.parse(read('objects.json')) as { readonly items: readonly KubernetesObject[] }
  return {
    config,
    state: buildState({ objects: items, nodeName: config.nodeName }).state,
    listing: { IPv4: read('nft-ip.json'), IPv6: read('nft-ip6.json') },
    text: { IPv4: read('nft-ip.txt'), IPv6: read('nft-ip6.txt') },
  }
}
