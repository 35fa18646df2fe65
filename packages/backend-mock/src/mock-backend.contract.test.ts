import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { backendContract } from '@pointsman/core/testing'
import { createMockBackend } from './mock-backend.js'

backendContract({
  name: 'mock',
  create: () => {
    const backend = createMockBackend({ config: DEFAULT_PROXY_CONFIG })
    const refuse = (owners: ReadonlySet<string>): void => backend.refuseWhen((owner) => owners.has(owner))
    return { backend, fault: { ...backend, refuse } }
  },
})
