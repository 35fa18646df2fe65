import { addrtype, comment, conntrack, nfacct, physdev, recent, statistic } from './extensions/matches.js'
import { sctp, tcp, udp } from './extensions/ports.js'
import { dnat, mark, markTarget, masquerade, reject, snat } from './extensions/targets.js'
import { networkOf } from './networks.js'
import { assertNever, type Match, type Negatable, type Rule, type Target } from './rule.js'
import { isBareName, isInterfaceName, protocolOf, splitWords } from './values.js'

/**
 * A rule in iptables-save's spelling, as it stands after `-A CHAIN`; empty for the rule that matches all and does nothing.
 * Fails with an IptablesFormatError when no line says this: a comment with a line end, a name with a space.
 */
export function formatRule(rule: Rule): string {
  const { source, destination, inInterface, outInterface, protocol, fragment, matches, target } = rule
  let text = ''
  if (source !== undefined) text += general('-s', source, networkWord(source.network))
  if (destination !== undefined) text += general('-d', destination, networkWord(destination.network))
  if (inInterface !== undefined) text += general('-i', inInterface, interfaceWord(inInterface.name))
  if (outInterface !== undefined) text += general('-o', outInterface, interfaceWord(outInterface.name))
  if (protocol !== undefined) text += general('-p', protocol, protocolWord(protocol.name))
  if (fragment !== undefined) text += fragment.negated ? ' ! -f' : ' -f'
  for (const match of matches) text += extension('-m', matchName(match), matchWords(match))
  if (target !== undefined) text += targetText(target)
  return text.slice(1)
}

const general = (option: string, { negated }: Negatable<unknown>, value: string): string =>
  ` ${negated ? '! ' : ''}${option} ${value}`

function extension(option: '-m' | '-j', name: string, words: readonly string[] | undefined): string {
  if (words === undefined) throw new IptablesFormatError(`the options of ${option} ${name}`)
  return ` ${[option, name, ...words].join(' ')}`
}

function networkWord(network: string): string {
  if (networkOf(network)?.network !== network) throw new IptablesFormatError(`the network ${network}`)
  return network
}

function interfaceWord(name: string): string {
  if (!isInterfaceName(name)) throw new IptablesFormatError(`the interface ${name}`)
  return name
}

function protocolWord(name: string): string {
  if (name === 'all' || protocolOf(name) !== name) throw new IptablesFormatError(`the protocol ${name}`)
  return name
}

function nameWord(name: string): string {
  if (!isBareName(name)) throw new IptablesFormatError(`the name ${name}`)
  return name
}

function matchName(match: Match): string {
  if (match.type === 'other') return nameWord(match.name)
  return match.type === 'statistic-random' || match.type === 'statistic-nth' ? 'statistic' : match.type
}

function matchWords(match: Match): readonly string[] | undefined {
  switch (match.type) {
    case 'comment':
      return comment.write(match)
    case 'tcp':
      return tcp.write(match)
    case 'udp':
      return udp.write(match)
    case 'sctp':
      return sctp.write(match)
    case 'mark':
      return mark.write(match)
    case 'conntrack':
      return conntrack.write(match)
    case 'statistic-random':
    case 'statistic-nth':
      return statistic.write(match)
    case 'recent':
      return recent.write(match)
    case 'addrtype':
      return addrtype.write(match)
    case 'nfacct':
      return nfacct.write(match)
    case 'physdev':
      return physdev.write(match)
    case 'other':
      return keptWords(match.words)
    default:
      return assertNever(match)
  }
}

function targetText(target: Target): string {
  switch (target.type) {
    case 'jump':
      return ` -j ${nameWord(target.chain)}`
    case 'goto':
      return ` -g ${nameWord(target.chain)}`
    case 'MARK':
      return extension('-j', 'MARK', markTarget.write(target))
    case 'DNAT':
      return extension('-j', 'DNAT', dnat.write(target))
    case 'SNAT':
      return extension('-j', 'SNAT', snat.write(target))
    case 'MASQUERADE':
      return extension('-j', 'MASQUERADE', masquerade.write(target))
    case 'REJECT':
      return extension('-j', 'REJECT', reject.write(target))
    case 'other':
      return extension('-j', nameWord(target.name), keptWords(target.words))
    default:
      return assertNever(target)
  }
}

/** Each has to be one word of a line; what kept words mean is not checked. */
function keptWords(words: readonly string[]): readonly string[] | undefined {
  const isOneWord = (word: string): boolean => {
    const split = splitWords(word)
    return (
      split.type === 'words' && split.words.length === 1 && split.words[0]?.spelling === word && !/[\r\n\0]/.test(word)
    )
  }
  return words.every((word) => isOneWord(word)) ? words : undefined
}

/** Data that no line of iptables can say: a name with a space, a comment with a line end, a network that is none. */
export class IptablesFormatError extends Error {
  override readonly name = 'IptablesFormatError'
  readonly code = 'UNSAYABLE'

  constructor(what: string) {
    super(`no rule of iptables can say this: ${JSON.stringify(what)}`)
  }
}
