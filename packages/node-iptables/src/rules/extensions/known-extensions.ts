import type { Match, Target } from '../rule.js'
import { addrtype, comment, conntrack, nfacct, physdev, recent, statistic } from './matches.js'
import type { ExtensionReader } from './extension.js'
import { dnat, mark, markTarget, masquerade, reject, snat } from './targets.js'
import { sctp, tcp, udp } from './ports.js'

/** The matches that are understood here, by the names that `-m` takes. */
export const MATCHES: ReadonlyMap<string, ExtensionReader<Match>> = new Map(
  Object.entries<ExtensionReader<Match>>({
    addrtype,
    comment,
    conntrack,
    mark,
    nfacct,
    physdev,
    recent,
    sctp,
    statistic,
    tcp,
    udp,
  }),
)

/** The targets that are understood here, by the names that `-j` takes. */
export const TARGETS: ReadonlyMap<string, ExtensionReader<Target>> = new Map(
  Object.entries<ExtensionReader<Target>>({
    MARK: markTarget,
    DNAT: dnat,
    SNAT: snat,
    MASQUERADE: masquerade,
    REJECT: reject,
  }),
)

/** Whether the match or target has the option, under any of its names. */
export const knows = (extension: ExtensionReader<unknown> | undefined, option: string): boolean =>
  extension !== undefined &&
  (Object.hasOwn(extension.options, option) || Object.hasOwn(extension.aliases ?? {}, option))

/** Whether any of them has it. */
export const isKnownOption = (option: string): boolean =>
  [...MATCHES.values(), ...TARGETS.values()].some((extension) => knows(extension, option))
