import type { RandomChoices } from '../../packages/node-iptables/src/test-support/random-numbers.js'
import { mutateBytes, mutateWords } from './mutations.js'

/** Saved rules with other words and lines, chains that lead to chains, and lines without end. */
export function mutateRules(rules: Buffer, other: Buffer, random: RandomChoices): Buffer {
  switch (random.below(10)) {
    case 0:
      return mutateBytes(rules, other, random)
    case 1: {
      // Chains that lead to each other: in a row, in a fan, in a ring.
      const count = random.pick([3, 24, 500, 20_000])
      const ways = random.pick([1, 2, 3])
      const end = random.oneIn(3) ? 'C0' : random.pick(['ACCEPT', 'DROP', 'RETURN', 'C'])
      const names = Array.from({ length: count }, (_, at) => `C${at}`)
      return Buffer.from(
        [
          '*nat',
          ':PREROUTING ACCEPT [0:0]',
          ':OUTPUT ACCEPT [0:0]',
          ...names.map((name) => `:${name} - [0:0]`),
          ...['PREROUTING', 'OUTPUT'].map((hook) => `-A ${hook} -j C0`),
          ...names.flatMap((name, at) => Array.from({ length: ways }, () => `-A ${name} -j ${names[at + 1] ?? end}`)),
          'COMMIT',
          '',
        ].join('\n'),
      )
    }
    case 2: {
      const lines = rules.toString('utf8').split('\n')
      const at = random.below(lines.length)
      return Buffer.from(
        [
          ...lines.slice(0, at),
          ...Array.from({ length: random.pick([100, 10_000]) }, () => lines[at]),
          ...lines.slice(at),
        ].join('\n'),
      )
    }
    case 3:
    case 4:
      return Buffer.from(mutateWords(pasted(rules.toString('utf8'), random), RULE_WORDS, random))
    default:
      return Buffer.from(mutateWords(rules.toString('utf8'), RULE_WORDS, random))
  }
}

/** A save as people paste it: what grep leaves of it, what `iptables -S` prints, with prompts, or as -nvL lists rules. */
function pasted(save: string, random: RandomChoices): string {
  const lines = save.split('\n')
  const stated = lines.map((line) => line.replace(/^:(KUBE\S+) .*/, '-N $1').replace(/^:(\S+) (\S+) .*/, '-P $1 $2'))
  const listed = lines
    .filter((line) => /^[:-]/.test(line))
    .map((line) =>
      line
        .replace(
          /^:(\S+) .*/,
          'Chain $1 (policy ACCEPT 0 packets, 0 bytes)\npkts bytes target prot opt in out source destination',
        )
        .replace(/^-A .*-j (\S+).*/, '0 0 $1 tcp -- * * 0.0.0.0/0 10.96.0.1 /* x */ tcp dpt:80'),
    )
  return random.pick([
    () => lines.filter((line) => /KUBE/.test(line)).join('\n'),
    () => lines.filter((line) => line.startsWith('-A')).join('\r\n'),
    () => stated.filter((line) => /^-[PNA]/.test(line)).join('\n'),
    () => `[root@node ~]# iptables-save\n${save}\n[root@node ~]# `,
    () => listed.join('\n'),
  ])()
}

/** Words of iptables-restore, known and not, and arguments that are wrong for most of them. */
const RULE_WORDS = wordsOf(`
  -m -j -g ! -p -s -d -i -o -f -A -I -N -P -c -- *nat *filter *x COMMIT :X tcp udp sctp icmp 255 comment --comment
  " "un 'x \\" statistic --mode random nth --probability --every --packet 0.00000000000 1.5 4294967296 recent --rcheck
  --set --name --seconds --reap --rsource --mask 255.0.255.0 conntrack --ctstate DNAT,NEW --ctorigdst addrtype --dst-type
  LOCAL mark --mark 0x4000/0x4000 0xffffffffff physdev --physdev-is-in multiport --dports 1,2:3 set --match-set ipvs
  nfacct --nfacct-name --dport --sport 0:65536 80:79 http --tcp-flags SYN,XX ALL DNAT SNAT MASQUERADE REDIRECT
  --to-destination 10.0.0.1:0-99999 [::1]:80 --to-source --to-ports --random-fully --persistent REJECT --reject-with
  MARK --set-xmark --or-mark RETURN ACCEPT DROP TPROXY NFQUEUE CT --notrack KUBE-SERVICES KUBE-NODEPORTS
  KUBE-POSTROUTING INPUT PREROUTING no-such-chain 0.0.0.0/0 10.96.0.0/33 ::/0 eth+ + [1:2] [x:y] -
`)

function wordsOf(text: string): readonly [string, ...string[]] {
  const [first = '', ...others] = text.trim().split(/\s+/)
  return [first, ...others]
}
