import type { Generation } from './table-change.js'

/** What counts of what a monitor prints; the rest is the content of each commit. */
export type MonitorNews = Generation | { readonly type: 'overrun' }

/**
 * Takes a monitor's output in pieces cut anywhere, and tells the news in it. Reads both `nft monitor` and
 * `xtables-monitor --event`. Holds no more than the beginning of one line, however much is printed.
 */
export function monitorLines(onNews: (news: MonitorNews) => void): (piece: string) => void {
  let held = ''
  return (piece) => {
    let from = 0
    for (let end = piece.indexOf('\n'); end !== -1; end = piece.indexOf('\n', from)) {
      if (held !== '' || BEGINNINGS.has(piece.charAt(from))) {
        const news = newsIn(held + piece.slice(from, Math.min(end, from + LONGEST)))
        if (news !== undefined) onNews(news)
        held = ''
      }
      from = end + 1
    }
    if (held.length < LONGEST) held += piece.slice(from, from + LONGEST)
  }
}

const newsIn = (line: string): MonitorNews | undefined => {
  if (line.startsWith(NFT_OVERRUN)) return { type: 'overrun' }
  const [, generation, pid, command] = NFT_GENERATION.exec(line) ?? XTABLES_GENERATION.exec(line) ?? []
  if (command === undefined) return undefined
  return { type: 'generation', generation: Number(generation), pid: Number(pid), command }
}

// Far longer than any line that counts: the longest holds two numbers and a name of 15 characters.
const LONGEST = 256
// Content is not looked at: `nft monitor` prints millions of characters for one large restore.
const BEGINNINGS = new Set(['#', 'N'])

const NFT_OVERRUN = '# ERROR: We lost some netlink events'
const NFT_GENERATION = /^# new generation (\d+) by process (\d+) \((.*)\)$/
const XTABLES_GENERATION = /^NEWGEN: GENID=(\d+) PID=(\d+) NAME=(.*)$/
