import { DEFAULT_PROXY_CONFIG, seq, type ServicePortName, type State } from '@pointsman/core'
import { changedBetween, type PortDescription, stateOf } from '@pointsman/core/testing'
import type { Iptables } from 'node-iptables'
import { expect, test } from 'vitest'
import { describeWithKernel, enterKernelNamespace } from '../test-support/kernel.js'
import { refusing } from '../test-support/refusing.js'
import { createIptablesBackend } from './iptables-backend.js'

const BAD = 'shop/web:http/TCP/IPv4' as ServicePortName
const portsOf = (generation: number, endpoint: string): readonly PortDescription[] => [
  { is: 'shop/web:http', clusterIP: '10.96.0.1', endpoints: [`${endpoint}:80`] },
  { is: 'shop/api:http', clusterIP: '10.96.0.2', endpoints: [`10.244.2.${generation}:80`] },
]
const stateAt = (generation: number, endpoint = '10.244.1.2'): State =>
  stateOf({ ports: portsOf(generation, endpoint), node: {} })

describeWithKernel('a service port that a kernel refuses', () => {
  for (const variant of ['nft', 'legacy'] as const) {
    test(`is retried without reading the tables, while others change (${variant})`, async () => {
      const namespace = enterKernelNamespace()
      try {
        const iptables = await namespace.iptables({ family: 'IPv4', variant })
        let [reads, owners] = [0, [] as readonly ServicePortName[]]
        const counted: Iptables = {
          ...refusing(iptables, () => owners),
          saveLines: (request) => {
            reads += 1
            return iptables.saveLines(request)
          },
        }
        const backend = createIptablesBackend({
          config: DEFAULT_PROXY_CONFIG,
          iptables: [counted],
        })
        const { signal } = new AbortController()
        const sync = (state: State, changed: ReadonlySet<ServicePortName> | 'all') =>
          backend.sync({ state, changed, fromSeq: seq(1), toSeq: seq(1) }, signal)

        await sync(stateAt(1, '10.244.1.1'), 'all')
        owners = [BAD]
        const first = await sync(stateAt(2), changedBetween(stateAt(1, '10.244.1.1'), stateAt(2)))
        expect(first.refused.map(({ owner }) => owner)).toEqual([BAD])
        const before = reads
        expect(await sync(stateAt(2), new Set([BAD]))).toMatchObject({
          full: false,
          bytes: 0,
          refused: [{ owner: BAD }],
        })
        const others = await sync(stateAt(3), new Set([BAD, ...changedBetween(stateAt(2), stateAt(3))]))
        expect(others).toMatchObject({ full: false, refused: [{ owner: BAD }] })
        expect(reads).toBe(before)
        // What is known without reading is what is there.
        expect(await backend.repairDrift(signal)).toEqual([])
        owners = []
        expect(await sync(stateAt(3), new Set([BAD]))).toMatchObject({ full: false, refused: [] })
        expect(await backend.repairDrift(signal)).toEqual([])
      } finally {
        namespace.remove()
      }
    })
  }
})
