import { displayName, type ServicePort } from '@pointsman/core'
import type { Found } from './installed.js'
import { chainKey, type ChainKey, linesOf, type RenderedService, tableOf } from './rendered-service.js'

/**
 * The rules of a service port as they were found, for one that is to be left as it is: its chains and those that they lead
 * to, and its rules in the chains that all share, by where they lead or what their comment says.
 */
export function asFound(port: ServicePort, wanted: RenderedService, found: Found): RenderedService {
  const chains = new Set<ChainKey>()
  const waiting = wanted.chains.map(([key]) => key)
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    const rules = found.chains.get(key)
    if (rules === undefined || chains.has(key)) continue
    chains.add(key)
    for (const line of linesOf(rules)) waiting.push(...chainsLedTo(key, line))
  }
  const comment = `--comment "${displayName(port)} `
  const isIts = (key: ChainKey, line: string): boolean =>
    line.includes(comment) || chainsLedTo(key, line).some((led) => chains.has(led))
  return {
    chains: [...chains].map((key) => [key, found.chains.get(key) ?? '']),
    entries: SHARED.map((key) => [
      key,
      linesOf(found.chains.get(key))
        .filter((line) => isIts(key, line))
        .join('\n'),
    ]),
  }
}

const chainsLedTo = (from: ChainKey, line: string): readonly ChainKey[] => {
  const chain = / -j (KUBE-(?:SVC|SVL|EXT|XLB|FW|SEP)-\S+)/.exec(` ${line}`)?.[1]
  return chain === undefined ? [] : [chainKey(tableOf(from), chain)]
}

const SHARED: readonly ChainKey[] = [
  'nat KUBE-SERVICES',
  'nat KUBE-NODEPORTS',
  'filter KUBE-SERVICES',
  'filter KUBE-EXTERNAL-SERVICES',
  'filter KUBE-NODEPORTS',
  'filter KUBE-PROXY-FIREWALL',
]
