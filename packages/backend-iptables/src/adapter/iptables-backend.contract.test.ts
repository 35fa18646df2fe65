import { DEFAULT_PROXY_CONFIG, type ServicePortName } from '@pointsman/core'
import { backendContract } from '@pointsman/core/testing'
import { createFakeIptables } from 'node-iptables/fake'
import { LAYOUTS } from '../ruleset/layout.js'
import { refusing } from '../test-support/refusing.js'
import { createIptablesBackend } from './iptables-backend.js'

const KINDS = (['nft', 'legacy'] as const).flatMap((variant) => LAYOUTS.map(({ name }) => ({ variant, layout: name })))

for (const { variant, layout } of KINDS) {
  backendContract({
    name: `iptables-${variant}, layout ${layout}, in memory`,
    create: () => {
      const iptables = (['IPv4', 'IPv6'] as const).map((family) => createFakeIptables({ family, variant }))
      const failRestore = (applied: number): void => {
        for (const one of iptables.slice(-1)) one.failNext({ failure: 'TIMED_OUT', program: 'restore', applied })
      }
      let refused: ReadonlySet<ServicePortName> = new Set()
      const refusable = iptables.map((one) => refusing(one, () => refused))
      return {
        backend: createIptablesBackend({ config: { ...DEFAULT_PROXY_CONFIG, layout }, iptables: refusable }),
        fault: {
          failNext: () => iptables[0]?.failNext({ failure: 'LOCK_HELD', program: 'restore' }),
          failHalfWay: () => failRestore(2),
          refuse: (owners) => void (refused = owners),
        },
      }
    },
  })
}
