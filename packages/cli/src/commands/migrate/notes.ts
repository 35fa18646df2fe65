import type { ProxyConfig, ServicePort, State } from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import type { Comparison } from './compare-modes.js'

/** What changes besides, or is not compared. A code is a contract: codes are added, not renamed. */
export const MIGRATION_NOTES = {
  OTHER_ADDRESSES_UNKNOWN: 'whether the node has further addresses is not known',
  NO_SERVICE_CIDR: 'the input has no ServiceCIDR',
  SETTINGS_FROM_LOG: 'the configuration is the one of the log, which does not tell what was set from what is a default',
  AFFINITY_FORGOTTEN: 'clients of Services with session affinity are spread anew',
  PING_REJECTED: 'ICMP to cluster IPs is rejected as well',
  NOTHING_ACCEPTED: 'the new mode accepts nothing that a firewall of the node refuses',
  INVALID_NOT_DROPPED: 'packets of conntrack state INVALID are no longer dropped',
  IPVS_IN_PART: 'of mode ipvs only what Services mean is compared',
} as const
export type MigrationNote = keyof typeof MIGRATION_NOTES

export interface Note {
  readonly code: MigrationNote
  readonly message: string
}

interface NotesQuestion {
  readonly from: ProxyConfig
  readonly to: ProxyConfig
  readonly state: Pick<State, 'services' | 'serviceCidrs'>
  readonly comparison: Comparison
  /** The configuration is the log's. */
  readonly isLogged: boolean
}

/** What to know besides the differences. Each is so by what the modes are, or by what the input lacks. */
export function migrationNotes({ from, to, state, comparison, isLogged }: NotesQuestion): readonly Note[] {
  const ports = [...state.services.values()]
  const assumed = new Set(
    comparison.differences.flatMap(({ target, addresses }) => (target.assumed === true ? addresses : [])),
  )
  const notes: (Note | false)[] = [
    assumed.size > 0 && {
      code: 'OTHER_ADDRESSES_UNKNOWN',
      message: `whether the node's interfaces have further addresses is not known: ${[...assumed].join(' and ')} stood for them (give each that there is with --node-address)`,
    },
    to.mode === 'nftables' &&
      state.serviceCidrs.length === 0 && {
        code: 'NO_SERVICE_CIDR',
        message:
          'the input has no ServiceCIDR: mode nftables drops what is sent to addresses within them that no Service has (add the output of `kubectl get servicecidrs -o json`)',
      },
    isLogged && {
      code: 'SETTINGS_FROM_LOG',
      message:
        'the settings are those of the log; node ports on all addresses are taken for the default, masqueradeAll is taken over (give --config, and --to-config, to be sure)',
    },
    countOfAffine(ports) > 0 && {
      code: 'AFFINITY_FORGOTTEN',
      message: `clients of ${countOf(countOfAffine(ports), 'Service')} with session affinity are spread anew once; established connections go on`,
    },
    from.mode === 'iptables' &&
      to.mode === 'nftables' && {
        code: 'PING_REJECTED',
        message: 'cluster IPs reject all that is no port of their Service, ICMP included: a ping of one is rejected',
      },
    // Mode ipvs accepts in KUBE-FORWARD and KUBE-NODE-PORT.
    from.mode !== 'nftables' &&
      to.mode === 'nftables' && {
        code: 'NOTHING_ACCEPTED',
        message: `mode ${from.mode} accepts forwarded Service traffic and health-check node ports that later rules of iptables would refuse; in mode nftables the firewall of the node has to let them pass (--rules shows policies that do not)`,
      },
    from.mode === 'iptables' &&
      to.mode === 'nftables' &&
      !from.tcpBeLiberal && {
        code: 'INVALID_NOT_DROPPED',
        message:
          'mode iptables drops forwarded packets of conntrack state INVALID, mode nftables does not: on kernels before 6.1 set conntrack.tcpBeLiberal if connections are reset',
      },
    (from.mode === 'ipvs' || to.mode === 'ipvs') && {
      code: 'IPVS_IN_PART',
      message:
        'of mode ipvs only what Services mean is compared: not its scheduler, not policy Local for traffic of the node and its pods, and not which sources it masquerades there',
    },
  ]
  return notes.filter((note) => note !== false)
}

const countOfAffine = (ports: readonly ServicePort[]): number =>
  new Set(ports.flatMap(({ service, affinitySeconds }) => (affinitySeconds > 0 ? [service] : []))).size
