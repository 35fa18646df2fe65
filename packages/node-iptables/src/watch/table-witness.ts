import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { Variant } from '../iptables.js'
import type { Generation, Listening } from './watch-changes.js'
import { nftGeneration, type OwnProcesses } from './watch-generations.js'

/** Knows whether others have changed the tables since they were compared as a whole. */
export interface TableWitness {
  /** Called before the tables are read; what it gives, when all that was read is as it should be. */
  readonly comparing: () => Promise<() => void>
  /** Of the tables as they are now; undefined: others may have changed them since they were compared. */
  readonly mark: () => Promise<string | undefined>
  /** Whether the tables have this mark. If so, they count as compared. */
  readonly has: (mark: string) => Promise<boolean>
  /** The mark that the tables have now, whoever changed them last; undefined: not known, or `like` is of another boot or network namespace. */
  readonly presentMark: (like: string) => Promise<string | undefined>
}

/** What the watch of nf_tables reports to it, and what a restart asks. */
export interface Witness extends TableWitness {
  /** The variant that made the mark, where it was made on this boot in this network namespace. */
  readonly variantOf: (mark: string | undefined) => Promise<Variant | undefined>
  readonly listens: (listening: Listening) => void
  /** A commit of this process itself is to make the generation, or has not made it after all. */
  readonly making: (generation: number, outcome: { readonly isMade: boolean }) => void
  /** Gives whether the commit is our own. */
  readonly heard: (generation: Generation, own: Pick<OwnProcesses, 'isOwn'>) => boolean
  readonly missed: () => void
}

/**
 * A mark is `nft BOOT NAMESPACE GENERATION`: each commit to nf_tables of a network namespace has the next generation, whichever program made it, and
 * the kernel gives no namespace's number again until the next boot. Tables are as they were compared where all generations
 * since are our own. Without netlink, or a boot id, there is none.
 */
export function createWitness(bootId: string | undefined): Witness {
  /**
   * The last generation that was heard, the last that may be another's (Infinity: some were missed), and the one at which the last
   * comparison of everything began.
   */
  const known: { isListening: boolean; heard: number; others: number; compared?: number | undefined } = {
    isListening: false,
    heard: 0,
    others: Number.POSITIVE_INFINITY,
  }
  /** Generations that this process makes itself, until they are heard. */
  const making = new Set<number>()
  const now = async (): Promise<{ readonly id: number; readonly place: string } | undefined> => {
    const found = bootId === undefined ? undefined : await nftGeneration()
    return found && { id: found.id, place: `nft ${bootId} ${found.namespace}` }
  }
  return {
    async variantOf(mark) {
      const place = mark === undefined ? undefined : (await now())?.place
      return place !== undefined && mark?.startsWith(`${place} `) === true ? 'nft' : undefined
    },
    async presentMark(like) {
      const found = await now()
      return found !== undefined && like.startsWith(`${found.place} `) ? `${found.place} ${found.id}` : undefined
    },
    async comparing() {
      const begun = await now()
      // What was missed before is compared from here on.
      if (begun !== undefined && known.others === Number.POSITIVE_INFINITY) known.others = begun.id
      return () => void (known.compared = begun?.id ?? known.compared)
    },
    async has(mark) {
      const found = await now()
      if (found === undefined || `${found.place} ${found.id}` !== mark) return false
      known.compared = found.id
      return true
    },
    async mark() {
      const found = await now()
      if (found === undefined || known.compared === undefined) return undefined
      // The kernel's messages about our own commits may still be on their way.
      const isLate = (): boolean => known.isListening && known.heard < found.id
      for (let turns = 0; isLate() && turns < HEARING_TURNS; turns += 1) await turn()
      for (let tries = 0; isLate() && tries < HEARING_TRIES; tries += 1) await sleep(HEARING_MS)
      const isKnown = known.isListening && known.heard >= found.id && known.others <= known.compared
      return isKnown ? `${found.place} ${found.id}` : undefined
    },
    listens(listening) {
      known.isListening = listening.type === 'listening'
      making.clear()
      if (listening.type !== 'listening') return
      known.heard = listening.since
      // Those before were not heard.
      if (known.others === Number.POSITIVE_INFINITY) known.others = listening.since
    },
    making(generation, { isMade }) {
      if (isMade && known.isListening) making.add(generation)
      else making.delete(generation)
    },
    heard(generation, own) {
      known.heard = generation.generation
      const isOwn = making.delete(generation.generation) || own.isOwn(generation)
      if (!isOwn) known.others = generation.generation
      return isOwn
    },
    missed: () => void (known.others = Number.POSITIVE_INFINITY),
  }
}

/** Of the event loop: enough for what the kernel has sent. */
const HEARING_TURNS = 4
const HEARING_MS = 5
const HEARING_TRIES = 20
