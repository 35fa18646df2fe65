import type { Target } from '../rule.js'
import type { Extension } from './extension.js'

type RejectTarget = Extract<Target, { type: 'REJECT' }>

export const reject: Extension<RejectTarget> = {
  options: { '--reject-with': { values: 1 } },
  read: (given) => {
    const [kind] = given.get('--reject-with')?.values ?? []
    if (kind === undefined) return { type: 'REJECT' }
    const name = SHORT_NAMES.get(kind) ?? kind
    return KINDS.has(name) ? { type: 'REJECT', with: name } : undefined
  },
  write: (target) =>
    target.with === undefined ? [] : KINDS.has(target.with) ? ['--reject-with', target.with] : undefined,
}

const KINDS: ReadonlySet<string> = new Set([
  'icmp-net-unreachable',
  'icmp-host-unreachable',
  'icmp-proto-unreachable',
  'icmp-port-unreachable',
  'icmp-net-prohibited',
  'icmp-host-prohibited',
  'icmp-admin-prohibited',
  'tcp-reset',
  'icmp6-no-route',
  'icmp6-adm-prohibited',
  'icmp6-addr-unreachable',
  'icmp6-port-unreachable',
])

/** Short names that mean the same in both families; `port-unreach` and others do not, and are kept as they are. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  ['tcp-rst', 'tcp-reset'],
  ['no-route', 'icmp6-no-route'],
  ['adm-prohibited', 'icmp6-adm-prohibited'],
])
