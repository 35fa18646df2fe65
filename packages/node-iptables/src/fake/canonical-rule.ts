import type { Family } from '../executables.js'
import type { Match, Rule, Target } from '../rules/rule.js'

/** The rule with what iptables fills in where it says nothing, so that two spellings of one rule are one text. */
export function canonicalRule(rule: Rule, family: Family): Rule {
  return {
    ...rule,
    matches: rule.matches.map((match) => canonicalMatch(match, family)),
    ...(rule.target === undefined ? {} : { target: canonicalTarget(rule.target, family) }),
  }
}

const WHOLE_ADDRESS = { IPv4: '255.255.255.255', IPv6: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' } as const

function canonicalMatch(match: Match, family: Family): Match {
  if (match.type !== 'recent') return match
  const { name = 'DEFAULT', mask = WHOLE_ADDRESS[family], side = 'source' } = match
  return { ...match, name, mask, side }
}

function canonicalTarget(target: Target, family: Family): Target {
  if (target.type === 'REJECT') return { type: 'REJECT', with: target.with ?? REJECT_KINDS[family][0] }
  if (target.type !== 'other' || target.name !== 'REJECT') return target
  const [option, kind = ''] = target.words
  const full = option === '--reject-with' ? SHORT_KINDS[family].get(kind) : undefined
  return full === undefined || target.words.length > 2 ? target : { type: 'REJECT', with: full }
}

/** Kinds of refusal of each family; the first is what it is when none is named. */
export const REJECT_KINDS: { readonly [family in Family]: readonly [string, ...string[]] } = {
  IPv4: [
    'icmp-port-unreachable',
    'icmp-net-unreachable',
    'icmp-host-unreachable',
    'icmp-proto-unreachable',
    'icmp-net-prohibited',
    'icmp-host-prohibited',
    'icmp-admin-prohibited',
    'tcp-reset',
  ],
  IPv6: [
    'icmp6-port-unreachable',
    'icmp6-no-route',
    'icmp6-adm-prohibited',
    'icmp6-addr-unreachable',
    'icmp6-policy-fail',
    'icmp6-reject-route',
    'tcp-reset',
  ],
}

const SHORT_KINDS: { readonly [family in Family]: ReadonlyMap<string, string> } = {
  IPv4: new Map([
    ['port-unreach', 'icmp-port-unreachable'],
    ['net-unreach', 'icmp-net-unreachable'],
    ['host-unreach', 'icmp-host-unreachable'],
    ['proto-unreach', 'icmp-proto-unreachable'],
    ['net-prohib', 'icmp-net-prohibited'],
    ['host-prohib', 'icmp-host-prohibited'],
    ['admin-prohib', 'icmp-admin-prohibited'],
  ]),
  IPv6: new Map([
    ['port-unreach', 'icmp6-port-unreachable'],
    ['addr-unreach', 'icmp6-addr-unreachable'],
    ['policy-fail', 'icmp6-policy-fail'],
    ['reject-route', 'icmp6-reject-route'],
  ]),
}
