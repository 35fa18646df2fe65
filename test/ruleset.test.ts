import {
  planRuleset,
  planService,
  renderSave,
  type Ruleset,
  type RulesetOptions,
  rulesetContext,
  savedTablesOf,
  type ServiceRules,
} from '@pointsman/backend-iptables'
import {
  buildState,
  DEFAULT_PROXY_CONFIG,
  type KubernetesObject,
  type ProxyConfig,
  route,
  serviceName,
  type State,
} from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import fc from 'fast-check'
import { parseSave } from 'node-iptables'
import { expect, test } from 'vitest'
import { explainService } from '../packages/cli/src/commands/explain/answer.js'
import { explainText } from '../packages/cli/src/commands/explain/text.js'
import {
  configArbitrary,
  EVERY_LAYOUT,
  hostileObjectsArbitrary,
  objectsArbitrary,
  optionsArbitrary,
  stateArbitrary,
} from './support/proxy-arbitraries.js'

const save = (ruleset: Ruleset): string => [...renderSave(ruleset)].map((line) => `${line}\n`).join('')

test('the same objects in another order give the same bytes', () => {
  const shuffled = objectsArbitrary().chain((objects) =>
    fc.tuple(fc.constant(objects), fc.shuffledSubarray([...objects], { minLength: objects.length })),
  )
  fc.assert(
    fc.property(shuffled, configArbitrary(EVERY_LAYOUT), optionsArbitrary(), ([objects, others], config, options) => {
      const render = (list: readonly KubernetesObject[]): string =>
        save(planRuleset(buildState({ objects: list, nodeName: 'node-a' }).state, config, options))
      expect(render(others)).toBe(render(objects))
    }),
  )
})

test('service ports in another order give the same bytes, where they claim one front as well', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(EVERY_LAYOUT), optionsArbitrary(), (state, config, options) => {
      const services = new Map([...state.services].toReversed())
      expect(save(planRuleset({ ...state, services }, config, options))).toBe(save(planRuleset(state, config, options)))
    }),
  )
})

test('whatever the objects say, what is read from the text is what was planned', () => {
  fc.assert(
    fc.property(
      hostileObjectsArbitrary(),
      configArbitrary(EVERY_LAYOUT),
      optionsArbitrary(),
      (objects, config, options) => {
        const { state } = buildState({ objects, nodeName: 'node-a' })
        expectReadBack(planRuleset(state, config, options))
      },
    ),
  )
})

test('what is read from the text of services with endpoints is what was planned', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(EVERY_LAYOUT), optionsArbitrary(), (state, config, options) => {
      expectReadBack(planRuleset(state, config, options))
    }),
  )
})

const expectReadBack = (ruleset: Ruleset): void => {
  // Whose a rule is, the plan knows and a text does not.
  const planned = savedTablesOf(ruleset).map((table) => ({
    ...table,
    chains: table.chains.map((chain) => ({ ...chain, rules: chain.rules.map(({ rule }) => ({ rule })) })),
  }))
  expect(parseSave(save(ruleset))).toEqual(planned)
}

test('every chain is of one service port, and every jump leads to a chain', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(EVERY_LAYOUT), optionsArbitrary(), (state, config, options) => {
      const ruleset = planRuleset(state, config, options)
      const chains = ruleset.services.flatMap((service) => service.chains)
      const keyOf = ({ table, chain }: { readonly table: string; readonly chain: string }): string =>
        `${table} ${chain}`
      const own = chains.map(keyOf)
      expect(new Set(own).size).toBe(own.length)
      const { declared, jumpedTo } = chainsIn(ruleset)
      expect(jumpedTo.filter((chain) => !declared.has(chain))).toEqual([])
      // What nothing leads to would only be there to be looked at: kube-proxy 1.20 makes KUBE-XLB- chains for that.
      const unled = own.filter((chain) => !jumpedTo.includes(chain))
      expect(unled.filter((chain) => !chain.startsWith('nat KUBE-XLB-'))).toEqual([])
    }),
  )
})

function chainsIn(ruleset: Ruleset): { readonly declared: ReadonlySet<string>; readonly jumpedTo: readonly string[] } {
  const chains = savedTablesOf(ruleset).flatMap(({ table, chains: ofTable }) =>
    ofTable.map(({ chain, rules }) => ({ table, chain, rules })),
  )
  return {
    declared: new Set(chains.map(({ table, chain }) => `${table} ${chain}`)),
    jumpedTo: chains.flatMap(({ table, rules }) =>
      rules.flatMap(({ rule: { target } }) =>
        target?.type === 'jump' && target.chain.startsWith('KUBE-') ? [`${table} ${target.chain}`] : [],
      ),
    ),
  }
}

test('the rules of a service port stay what they are, whatever becomes of other services', () => {
  fc.assert(
    fc.property(
      stateArbitrary(),
      stateArbitrary(),
      configArbitrary(EVERY_LAYOUT),
      optionsArbitrary(),
      (state, later, config, options) => {
        const kept = [...state.services.keys()].filter((id, index) => index % 2 === 0 || !later.services.has(id))
        const merged: State = {
          ...state,
          services: new Map([...later.services, ...kept.flatMap((id) => entryOf(state.services, id))]),
          endpoints: new Map([
            ...[...later.endpoints].filter(([id]) => !kept.includes(id)),
            ...kept.flatMap((id) => entryOf(state.endpoints, id)),
          ]),
        }
        const before = rulesByOwner(state, config, options)
        const after = rulesByOwner(merged, config, options)
        for (const id of kept) expect(after.get(id)).toEqual(before.get(id))
      },
    ),
  )
})

const entryOf = <Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): readonly (readonly [Key, Value])[] => {
  const value = map.get(key)
  return value === undefined ? [] : [[key, value]]
}

const rulesByOwner = (state: State, config: ProxyConfig, options: RulesetOptions): ReadonlyMap<string, ServiceRules> =>
  new Map(planRuleset(state, config, options).services.map((service) => [service.owner, service]))

test('a service port planned by itself is what it is in the whole', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(EVERY_LAYOUT), optionsArbitrary(), (state, config, options) => {
      const context = rulesetContext(state, config, options)
      const whole = rulesByOwner(state, config, options)
      for (const port of state.services.values()) {
        if (port.family !== options.family) continue
        expect(planService(port, state.endpoints.get(port.id) ?? [], context)).toEqual(whole.get(port.id))
      }
    }),
  )
})

const VIPS = { IPv4: '198.51.100.7', IPv6: '2001:db8::7' } as const

/** A load balancer of both families with source ranges: its rules, a stranger's packets, and the sources in `explain`. */
function guardedBy(ranges: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const web = { namespace: 'shop', name: 'web' }
  const objects = [
    node({ name: 'node-a' }),
    service({
      ...web,
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.96.0.1',
        clusterIPs: ['10.96.0.1', 'fd00:96::1'],
        ipFamilies: ['IPv4', 'IPv6'],
        loadBalancerSourceRanges: ranges,
        ports: [{ name: 'http', port: 80 }],
      },
      status: { loadBalancer: { ingress: Object.values(VIPS).map((ip) => ({ ip })) } },
    }),
    ...(['10.244.1.1', 'fd00:244::1'] as const).map((address, index) =>
      slice({
        ...web,
        name: `web-${index}`,
        service: 'web',
        addressType: index === 0 ? 'IPv4' : 'IPv6',
        endpoints: [{ addresses: [address], nodeName: 'node-a' }],
      }),
    ),
  ]
  const { state } = buildState({ objects, nodeName: 'node-a' })
  const config = DEFAULT_PROXY_CONFIG
  const firewall = (['IPv4', 'IPv6'] as const).filter((family) =>
    /^(?::KUBE-FW-|-A KUBE-PROXY-FIREWALL )/m.test(save(planRuleset(state, config, { family }))),
  )
  const kept = (['IPv4', 'IPv6'] as const).filter((family) => {
    const packet = { from: 'outside', to: VIPS[family], port: 80, protocol: 'tcp' } as const
    return route(state, config, packet).verdict === 'dropped'
  })
  const explained = explainService({ service: serviceName('shop', 'web'), objects, state, config })
  const plain = (text: string): string => text
  const style = { enabled: false, bold: plain, dim: plain, green: plain, red: plain, yellow: plain, cyan: plain }
  const lines = explainText(explained, undefined, style).flatMap((line) => /^ *sources +(.*)$/.exec(line)?.[1] ?? [])
  return { firewall, kept, lines }
}

test.each<[readonly string[], readonly string[], readonly string[]]>([
  [
    ['0.0.0.0/0'],
    [],
    [
      'everyone may use 198.51.100.7: 0.0.0.0/0 is among the source ranges',
      'everyone may use 2001:db8::7: the Service has no source range of IPv6',
    ],
  ],
  [
    ['192.0.2.0/24', ' ::/0', 'fd00::/8', '203.0.113.0/24'],
    ['IPv4'],
    [
      'only 192.0.2.0/24, 203.0.113.0/24 may use 198.51.100.7; the source ranges do not protect the cluster IP',
      'everyone may use 2001:db8::7: ::/0 is among the source ranges, and the others have no effect (fd00::/8)',
    ],
  ],
  [
    ['fd00::/8', '10.1.2.3/0 ', '10.0.0.0/8'],
    ['IPv6'],
    [
      'everyone may use 198.51.100.7: 0.0.0.0/0 is among the source ranges, and the others have no effect (10.0.0.0/8)',
      'only fd00::/8 may use 2001:db8::7; the source ranges do not protect the cluster IP',
    ],
  ],
  [[], [], []],
])('source ranges make a firewall unless one of the family holds every address: %j', (ranges, guarded, lines) => {
  expect(guardedBy(ranges)).toEqual({ firewall: guarded, kept: guarded, lines })
})
