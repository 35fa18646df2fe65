import { expect, it } from 'vitest'
import { DEFAULT_PROXY_CONFIG } from '../model/proxy-config.js'
import { seq } from '../model/record.js'
import { backendContract } from './backend-contract.js'
import { stateOf } from './state-builder.js'
import { createToyBackend, createToyKernel } from './toy-dataplane.js'

const FAMILIES = ['IPv4', 'IPv6'] as const

const toy = () => {
  const kernel = createToyKernel()
  return { kernel, backend: createToyBackend({ config: DEFAULT_PROXY_CONFIG, families: FAMILIES, kernel }) }
}

backendContract({
  name: 'the toy data plane',
  create: () => {
    const { backend, kernel } = toy()
    return {
      backend,
      fault: {
        failNext: () => void (kernel.fault = 'at once'),
        failHalfWay: () => void (kernel.fault = 'half-way'),
        refuse: (owners) => {
          kernel.refused.clear()
          for (const owner of owners) kernel.refused.add(owner)
        },
      },
    }
  },
})

const SHOP = stateOf({ ports: [{ is: 'shop/cart', clusterIP: '10.96.0.10', endpoints: ['10.244.1.5:8080@node-a'] }] })
const { signal } = new AbortController()

it('puts back what somebody else changed, and names the chains', async () => {
  const { backend, kernel } = toy()
  expect(await backend.repairDrift(signal)).toBeUndefined()
  await backend.sync({ state: SHOP, changed: 'all', fromSeq: seq(1), toSeq: seq(1) }, signal)
  const before = await backend.read()
  expect(await backend.repairDrift(signal)).toEqual([])
  kernel.lines.get('IPv4')?.clear()
  const drift = await backend.repairDrift(signal)
  expect(drift).toMatchObject([{ family: 'IPv4', chains: ['toy fronts', 'toy to-shop-cart-TCP-IPv4'] }])
  expect(await backend.read()).toEqual(before)
})
