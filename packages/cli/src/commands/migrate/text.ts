import { type Route, type ServiceName, shortList } from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import type { Style } from '../../output/terminal.js'
import type { Migration } from './command.js'
import { type Difference, MIGRATION_REASONS } from './compare-modes.js'
import { type Sender, SENDERS } from './packet-classes.js'

/** The conclusion; each Service with what changes for it; what else changes; rules of other programs. */
export function migrationText(migration: Migration, asked: string, style: Style): readonly string[] {
  const { from, to, node, comparison, notes, otherRules } = migration
  const { differences, services, changed, classes } = comparison
  const whose = node === undefined ? '' : `, node ${node}`
  const changes = differences.length > 0 || (otherRules?.length ?? 0) > 0
  const conclusion = changes
    ? style.yellow(`${changed.size} of ${countOf(services, 'Service')} ${changed.size === 1 ? 'changes' : 'change'}`)
    : style.green(`nothing changes for ${countOf(services, 'Service')}`)
  return [
    style.dim(`${asked}${whose}, from mode ${from} to ${to}`),
    `${conclusion}; ${countOf(classes, 'class').replace(/classs$/, 'classes')} of packets compared`,
    ...byService(differences.filter(({ target }) => target.type !== 'unusedPort')).flatMap(([service, list]) => [
      '',
      style.bold(service ?? 'No Service'),
      ...list.flatMap((difference) => differenceLines(difference, style)),
    ]),
    ...unusedPortLines(differences, style),
    ...(notes.length === 0 ? [] : ['', style.bold('Also')]),
    ...notes.map(({ code, message }) => `  ${message} ${style.dim(`(${code})`)}`),
    ...(otherRules === undefined
      ? []
      : ['', style.bold('Rules of other programs'), ...otherRuleLines(otherRules, style)]),
  ]
}

type Group = readonly [service: ServiceName | undefined, differences: readonly Difference[]]

/** By the Services' names; those of no Service last. */
function byService(differences: readonly Difference[]): readonly Group[] {
  const groups = new Map<ServiceName | undefined, Difference[]>()
  for (const difference of differences) {
    const { service } = difference.target
    const list = groups.get(service)
    if (list === undefined) groups.set(service, [difference])
    else list.push(difference)
  }
  return [...groups].toSorted(([a], [b]) => (a === undefined ? 1 : b === undefined || a < b ? -1 : 1))
}

/** Nearly every Service has the same to say of these, so that they are said once for all that have it so. */
function unusedPortLines(differences: readonly Difference[], style: Style): readonly string[] {
  const groups = new Map<string, Difference[]>()
  for (const difference of differences) {
    const { target, senders, before, after, reasons } = difference
    if (target.type !== 'unusedPort') continue
    const key = JSON.stringify([senders, routeText(before), routeText(after), reasons])
    const alike = groups.get(key)
    if (alike === undefined) groups.set(key, [difference])
    else alike.push(difference)
  }
  return [...groups.values()].flatMap((alike) => {
    const [first] = alike
    const services = [...new Set(alike.flatMap(({ target: { service } }) => service ?? []))].toSorted()
    const addresses = new Set(alike.flatMap((difference) => difference.addresses)).size
    if (first === undefined) return []
    return [
      '',
      style.bold(
        `Ports that a Service does not have, at ${addressesOf(addresses)} of ${shortList(services, MOST_SERVICES)}`,
      ),
      ...differenceLines(first, style).slice(1),
      `    from ${shortList(first.senders.map(senderText), MOST_SENDERS)}`,
    ]
  })
}

const MOST_SERVICES = 8
const addressesOf = (count: number): string => (count === 1 ? 'an address' : `${count} addresses`)

function differenceLines(difference: Difference, style: Style): readonly string[] {
  const { senders, before, after, reasons } = difference
  return [
    `  ${targetText(difference)}, from ${shortList(senders.map(senderText), MOST_SENDERS)}`,
    `    ${routeText(before)} -> ${style.yellow(routeText(after))}`,
    ...reasons.map((reason) => `    ${MIGRATION_REASONS[reason]} ${style.dim(`(${reason})`)}`),
  ]
}

const MOST_SENDERS = 6
const senderText = (sender: Sender): string => SENDERS[sender]

function targetText({ target, addresses }: Difference): string {
  const { type, protocol, port, of, assumed } = target
  const at = addresses.map((address) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`))
  const listed = shortList(at, MOST_ADDRESSES)
  switch (type) {
    case 'nodePort':
      if (assumed === true) return `${protocol} node port ${port} on any further address of the node`
      return `${protocol} node port ${listed} (${of === 'primary' ? 'primary address' : of === 'loopback' ? 'loopback' : 'secondary address'})`
    case 'unusedPort':
      return `any other port of ${shortList(addresses, MOST_ADDRESSES)}`
    case 'unallocated':
      return `addresses such as ${shortList(addresses, MOST_ADDRESSES)} that no Service has`
    case 'clusterIP':
      return `${protocol} cluster IP ${listed}`
    case 'externalIP':
      return `${protocol} external IP ${listed}`
    case 'loadBalancerIP':
      return `${protocol} load-balancer IP ${listed}`
  }
}

const MOST_ADDRESSES = 4

function routeText({ verdict, endpoints }: Route): string {
  switch (verdict) {
    case 'rejected':
    case 'dropped':
      return verdict
    case 'no-service':
      return 'not for a Service'
    case 'endpoints': {
      const shown = endpoints.map(({ address, port }) =>
        address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
      )
      const masqueraded = endpoints.filter((endpoint) => endpoint.masqueraded)
      const how =
        masqueraded.length === 0
          ? "with the sender's address"
          : masqueraded.length === endpoints.length
            ? 'masqueraded'
            : `masqueraded to ${masqueraded.length} of ${endpoints.length}`
      return `${shortList(shown, MOST_ENDPOINTS)}, ${how}`
    }
  }
}

const MOST_ENDPOINTS = 3

function otherRuleLines(rules: NonNullable<Migration['otherRules']>, style: Style): readonly string[] {
  if (rules.length === 0) return ['  none leads to chains of the proxy, uses its mark or relies on what it accepts']
  return rules.flatMap(({ table, line, program, message }) => [
    `  ${table} ${line}${program === undefined ? '' : style.dim(`  (${program}, by its name)`)}`,
    `    ${message}`,
  ])
}
