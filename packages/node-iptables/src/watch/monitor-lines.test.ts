import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { monitorLines, type MonitorNews } from './watch-generations.js'

// Both are recordings of the same changes with iptables 1.8.9 and nftables 1.0.6.
const NFT = `add table ip nat
create chain ip nat CANARY
# new generation 2 by process 29608 (iptables-nft)
add chain ip nat OUTPUT { type nat hook output priority -100; policy accept; }
add rule ip nat OUTPUT tcp dport 80  counter packets 0 bytes 0 return
# new generation 3 by process 29609 (iptables-nft)
delete rule ip nat CANARY handle 4
delete rule ip nat OUTPUT handle 3
# new generation 4 by process 29612 (iptables-nft)
create chain ip nat A
add rule ip nat A counter packets 0 bytes 0 return
# new generation 5 by process 29616 (iptables-nft-re)
create chain ip filter FOO
# new generation 6 by process 29618 (we (ird) é)
`
const XTABLES = ` EVENT: nft: NEW table: table nat ip flags 0 use 1 handle 2
 EVENT: -4 -t nat -N CANARY
NEWGEN: GENID=2 PID=29608 NAME=iptables-nft
 EVENT: # nft: ip nat OUTPUT use 1 type nat hook output prio -100 policy accept packets 0 bytes 0 flags 1
 EVENT: -4 -t nat -A OUTPUT -p tcp -m tcp --dport 80 -m comment --comment "it\\'s # x" -j RETURN
NEWGEN: GENID=3 PID=29609 NAME=iptables-nft
NEWGEN: GENID=4 PID=29612 NAME=iptables-nft
 EVENT: -4 -t nat -N A
 EVENT: -4 -t nat -A A -j RETURN
NEWGEN: GENID=5 PID=29616 NAME=iptables-nft-re
 EVENT:${' '}
NEWGEN: GENID=6 PID=29618 NAME=we (ird) é
`
const GENERATIONS = [
  { type: 'generation', generation: 2, pid: 29608, command: 'iptables-nft' },
  { type: 'generation', generation: 3, pid: 29609, command: 'iptables-nft' },
  { type: 'generation', generation: 4, pid: 29612, command: 'iptables-nft' },
  { type: 'generation', generation: 5, pid: 29616, command: 'iptables-nft-re' },
  { type: 'generation', generation: 6, pid: 29618, command: 'we (ird) é' },
]

const newsIn = (pieces: Iterable<string>): readonly MonitorNews[] => {
  const news: MonitorNews[] = []
  const take = monitorLines((one) => news.push(one))
  for (const piece of pieces) take(piece)
  return news
}

describe('the output of a monitor', () => {
  it.each([
    ['nft monitor', NFT],
    ['xtables-monitor --event', XTABLES],
  ])('%s names each generation with its process, wherever it is cut', (_, text) => {
    expect(newsIn([text])).toEqual(GENERATIONS)
    expect(newsIn(text)).toEqual(GENERATIONS)
    fc.assert(
      fc.property(fc.array(fc.nat({ max: text.length })), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        expect(newsIn(places.slice(1).map((end, index) => text.slice(places[index], end)))).toEqual(GENERATIONS)
      }),
    )
  })

  it('says when messages were lost', () => {
    expect(newsIn(['# ERROR: We lost some netlink events!\n'])).toEqual([{ type: 'overrun' }])
  })

  it('names a generation at the beginning of a line alone', () => {
    const line = '# new generation 2 by process 1 (x)\n'
    expect(newsIn([`add chain ip nat A { comment "${line}`, '  #', line, `${'#'.repeat(100_000)}${line}`])).toEqual([])
  })

  it('is passed over, a line of any length included, and what follows is read', () => {
    const piece = 'add rule ip nat OUTPUT # new generation 9 by process 9 (x) '.repeat(1000)
    function* pieces(): Generator<string> {
      for (let count = 0; count < 2000; count += 1) yield piece
      yield '\n# new generation 2 by process 1 (x)\n'
    }
    expect(newsIn(pieces())).toEqual([{ type: 'generation', generation: 2, pid: 1, command: 'x' }])
  })
})
