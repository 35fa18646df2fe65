import { isIPv4 } from 'node:net'
import { addressOf } from '../networks.js'
import type { Target } from '../rule.js'
import { numberOf, portRangeOf, spellPorts } from '../values.js'
import { flagWords } from './extension.js'
import type { Extension } from './extension.js'

type DnatTarget = Extract<Target, { type: 'DNAT' }>
type SnatTarget = Extract<Target, { type: 'SNAT' }>
type MasqueradeTarget = Extract<Target, { type: 'MASQUERADE' }>

export const dnat: Extension<DnatTarget> = {
  options: { '--to-destination': { values: 1 }, '--random': { values: 0 }, '--persistent': { values: 0 } },
  read: (given) => {
    const to = placeOf(given.get('--to-destination')?.values[0] ?? '')
    if (to === undefined) return undefined
    return { type: 'DNAT', to, random: given.has('--random'), persistent: given.has('--persistent') }
  },
  write: ({ to, random, persistent }) =>
    placeOf(to) === to
      ? ['--to-destination', to, ...flagWords('--random', random), ...flagWords('--persistent', persistent)]
      : undefined,
}

export const snat: Extension<SnatTarget> = {
  options: {
    '--to-source': { values: 1 },
    '--random': { values: 0 },
    '--random-fully': { values: 0 },
    '--persistent': { values: 0 },
  },
  read: (given) => {
    const to = placeOf(given.get('--to-source')?.values[0] ?? '')
    if (to === undefined) return undefined
    return {
      type: 'SNAT',
      to,
      random: given.has('--random'),
      randomFully: given.has('--random-fully'),
      persistent: given.has('--persistent'),
    }
  },
  write: ({ to, random, randomFully, persistent }) =>
    placeOf(to) === to
      ? [
          '--to-source',
          to,
          ...flagWords('--random', random),
          ...flagWords('--random-fully', randomFully),
          ...flagWords('--persistent', persistent),
        ]
      : undefined,
}

export const masquerade: Extension<MasqueradeTarget> = {
  options: { '--to-ports': { values: 1 }, '--random': { values: 0 }, '--random-fully': { values: 0 } },
  read: (given) => {
    const text = given.get('--to-ports')?.values[0]
    const ports = text === undefined || /^-|-$/.test(text) ? undefined : portRangeOf(text, '-')
    if (text !== undefined && ports === undefined) return undefined
    return {
      type: 'MASQUERADE',
      ...(ports === undefined ? {} : { ports }),
      random: given.has('--random'),
      randomFully: given.has('--random-fully'),
    }
  },
  write: ({ ports, random, randomFully }) => [
    ...(ports === undefined ? [] : ['--to-ports', spellPorts(ports, '-')]),
    ...flagWords('--random', random),
    ...flagWords('--random-fully', randomFully),
  ],
}

/** One address with a port or without, as iptables-save spells it. Undefined: a range, or nothing of this kind. */
function placeOf(text: string): string | undefined {
  const found = /^(?:(?<bare>[^[\]]+?)|\[(?<bracketed>[^[\]]+)\])(?::(?<port>\d+))?$/.exec(text)?.groups
  if (found === undefined) return undefined
  // Without brackets, what follows the colons of an IPv6 address is a part of it.
  const whole = addressOf(text)
  if (whole !== undefined) return whole
  const address = addressOf(found['bracketed'] ?? found['bare'] ?? '')
  if (address === undefined || (found['bracketed'] !== undefined && isIPv4(address))) return undefined
  if (found['bracketed'] === undefined && !isIPv4(address)) return undefined
  if (found['port'] === undefined) return address
  const port = numberOf(found['port'], 65_535)
  if (port === undefined || port < 1) return undefined
  return isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`
}
