import { formatRule, parseRestoreLine } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { CURRENT } from '../ruleset/layout.js'
import type { JumpRule } from '../ruleset/ruleset.js'
import { isJumpOfNote, jumpsFound } from './read-found.js'

const lineOf = ({ chain, rule }: JumpRule): string => `-A ${chain} ${formatRule(rule)}`

const JUMPS = CURRENT.jumps
const ALL = JUMPS.filter(({ table }) => table === 'filter').map(lineOf)
const NAT = JUMPS.filter(({ table }) => table === 'nat')
const forward = ALL.filter((line) => line.startsWith('-A FORWARD'))
const others = ALL.filter((line) => !line.startsWith('-A FORWARD'))

const jumpIn = (line: string): JumpRule => {
  const parsed = parseRestoreLine(line, 1)
  if (parsed.type !== 'append') throw new Error(line)
  return { table: 'filter', chain: parsed.chain, rule: parsed.rule }
}

/** What has to be done where the filter table has these rules. */
function judged(lines: readonly string[]): { readonly missing: readonly string[]; readonly extra: readonly string[] } {
  const { missing, extra } = jumpsFound(
    [...lines.map(jumpIn).filter((jump) => isJumpOfNote(jump, CURRENT)), ...NAT],
    CURRENT,
  )
  return { missing: missing.map(lineOf), extra: extra.map(lineOf) }
}

describe('of the jumps in the chains of the kernel', () => {
  it('none has to be touched where all are there, rules of others and kubelet’s among them', () => {
    const kubelets = others.filter((line) => line.endsWith('KUBE-FIREWALL'))
    const moved = [...others.filter((line) => !kubelets.includes(line)), ...kubelets]
    expect(judged([...forward, '-A FORWARD -s 192.0.2.1/32 -j KUBE-SERVICES', ...moved])).toEqual({
      missing: [],
      extra: [],
    })
  })

  it('all that are lacking are put in; the rest stays where that gives their order', () => {
    expect(judged(others)).toEqual({ missing: forward, extra: [] })
    expect(judged([...forward.slice(2), ...others])).toEqual({ missing: forward.slice(0, 2), extra: [] })
    expect(judged(forward)).toEqual({ missing: others, extra: [] })
  })

  it('all of a chain are put in anew where one of the later ones is lacking, or they are in another order', () => {
    const without = forward.toSpliced(1, 1)
    expect(judged([...without, ...others])).toEqual({ missing: forward, extra: without })
    expect(judged([...forward.toReversed(), ...others])).toEqual({ missing: forward, extra: forward.toReversed() })
  })

  it('one that stands twice, and one of an older kube-proxy, are taken out', () => {
    const twice = [...forward, ...forward.slice(-1)]
    expect(judged([...twice, ...others])).toEqual({ missing: forward, extra: twice })
    const old = '-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    const [firewall, ...input] = others.filter((line) => line.startsWith('-A INPUT'))
    // Kubelet's goes on standing before them.
    expect(judged([...ALL, old])).toEqual({ missing: [firewall, ...input], extra: [...input, old, firewall] })
    const behind = ALL.filter((line) => line !== firewall)
    expect(judged([...behind, old, firewall ?? ''])).toEqual({ missing: input, extra: [...input, old] })
  })

  it("kubelet's, where it stands twice, is taken out once, and is not missed twice", () => {
    expect(judged([...ALL, '-A INPUT -j KUBE-FIREWALL', '-A FORWARD -j KUBE-FIREWALL'])).toEqual({
      missing: [],
      extra: ['-A INPUT -j KUBE-FIREWALL'],
    })
  })
})
