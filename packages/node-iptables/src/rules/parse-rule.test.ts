import { describe, expect, it } from 'vitest'
import { NAT_SPELLINGS, SPELLINGS } from '../test-support/spellings.js'
import { formatRule } from './format-rule.js'
import { IptablesParseError } from './parse-rule.js'
import { parseRestoreLine } from './restore-line.js'
import type { Rule } from './rule.js'

const ruleIn = (words: string): Rule => {
  const line = parseRestoreLine(`-A A ${words}`, 1)
  if (line.type !== 'append') throw new Error(line.type)
  return line.rule
}

const errorOf = (words: string): unknown => {
  try {
    ruleIn(words)
    return 'no error'
  } catch (error) {
    if (error instanceof IptablesParseError) return [error.code, error.found]
    throw error
  }
}

/** What iptables prints with something else than was written, because it reads what is kept here word by word. */
const KEPT_AS_WRITTEN = ['-m limit']

describe('a rule as it may be written gives what iptables-save prints', () => {
  const known = [...SPELLINGS, ...NAT_SPELLINGS].filter(
    ([written]) => !KEPT_AS_WRITTEN.some((kept) => written.startsWith(kept)),
  )
  it.each(known)('%s', (written, saved) => {
    expect(formatRule(ruleIn(written))).toBe(saved)
    expect(ruleIn(saved)).toEqual(ruleIn(written))
  })
})

describe('what is not known is kept word by word', () => {
  it.each([
    '-p icmp -m icmp --icmp-type 8 -j B',
    '-m set ! --match-set blue src,dst -m tcp --dport 80 -j LOG --log-prefix "a \\"b" --log-level 7',
    '-p tcp -m conntrack --ctstate NEW --ctproto 6 -j ACCEPT',
    '-p tcp -m tcp --dport http -j ACCEPT',
    '-p tcp -m tcp --dport 80 --dport 81 -j ACCEPT',
    '-m statistic --mode random --probability 2 -j B',
    '-j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90',
    '-m policy --dir in --pol ipsec --mode tunnel -j B',
    '-m recent --set --name x --rsource -j CONNMARK --save-mark --mask 0xff',
    '-m comment ! --comment x -j B',
    '-m mark',
    '-j LOG --log-prefix "!" --log-level 7',
    '-p tcp -j B --source-port 5',
  ])('%s', (written) => {
    expect(formatRule(ruleIn(written))).toBe(written)
  })

  it('a match that comes by its protocol', () => {
    expect(formatRule(ruleIn('-p icmp --icmp-type 8 -j B'))).toBe('-p icmp -m icmp --icmp-type 8 -j B')
  })

  it('as one match or target, in its place', () => {
    expect(ruleIn('-m set --match-set blue src -m mark --mark 1 -j CT --notrack')).toEqual({
      matches: [
        { type: 'other', name: 'set', words: ['--match-set', 'blue', 'src'] },
        { type: 'mark', value: 1, mask: 0xff_ff_ff_ff, negated: false },
      ],
      target: { type: 'other', name: 'CT', words: ['--notrack'] },
    })
  })
})

describe('what cannot be a rule is refused', () => {
  it.each([
    ['-s 10.0.0.1,10.0.0.2', 'BAD_VALUE', '10.0.0.1,10.0.0.2'],
    ['-s 10.0.0.0/33', 'BAD_VALUE', '10.0.0.0/33'],
    ['-s host.example', 'BAD_VALUE', 'host.example'],
    ['-i a-name-that-is-too-long', 'BAD_VALUE', 'a-name-that-is-too-long'],
    ['-p 256', 'BAD_VALUE', '256'],
    ['-p', 'MISSING_VALUE', '-p'],
    ['-m comment --comment', 'MISSING_VALUE', '--comment'],
    ['-j A -j B', 'REPEATED_OPTION', '-j'],
    ['-j A -g B', 'REPEATED_OPTION', '-g'],
    ['-s 10.0.0.1 -s 10.0.0.2', 'REPEATED_OPTION', '-s'],
    ['--dport 80', 'UNKNOWN_OPTION', '--dport'],
    ['-m comment --comment x --dport 80 -p tcp', 'UNKNOWN_OPTION', '--dport'],
    ['-j DNAT --mask 1 -m recent --set', 'UNKNOWN_OPTION', '--mask'],
    ['-m set --x !', 'MISSING_VALUE', '!'],
    ['stray', 'UNKNOWN_OPTION', 'stray'],
    ['-m comment --comment "a"b', 'UNKNOWN_OPTION', 'b'],
    ['! -j A', 'UNKNOWN_OPTION', '! -j'],
    ['-j LOG --log-prefix -f', 'AMBIGUOUS', '-f'],
    ['-j "A B"', 'BAD_NAME', 'A B'],
    ['-m comment --comment "x', 'UNCLOSED_QUOTE', '"x'],
  ])('%s', (words, code, found) => {
    expect(errorOf(words)).toEqual([code, found])
  })
})
