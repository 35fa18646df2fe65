import { createIptables } from '../create-iptables.js'
import type { Iptables, Variant } from '../iptables.js'
import type { Family } from '../detect-variant.js'
import { createFakeIptables } from '../fake/index.js'
import { IptablesError } from '../iptables-error.js'
import { randomChoices } from './random-numbers.js'
import { randomRestore, type RandomRestore } from './random-restores.js'

export interface Comparison {
  readonly variant: Variant
  readonly family: Family
  readonly seed: number
  readonly count: number
}

/**
 * Runs random restores, one after the other, on the kernel of this network namespace and on the fake. Undefined: the same verdicts and the same saves
 * all along. Otherwise the seed, the restore and what differs.
 */
export async function differenceFromFake({ variant, family, seed, count }: Comparison): Promise<string | undefined> {
  const real = await createIptables({ family, variant })
  const fake = createFakeIptables({ family, variant, nfacctObjects: ['known'], keepTexts: false })
  const choices = randomChoices(seed)
  for (let number = 1; number <= count; number++) {
    const restore = randomRestore(choices, family)
    const before = fake.text()
    const there = await outcome(real, restore)
    const here = await outcome(fake, restore)
    if (there.text === here.text) continue
    return [
      `seed ${seed}, restore ${number} of ${variant}, ${family}${restore.flush ? ', flush' : ''}${restore.counters ? ', counters' : ''}:`,
      numbered(restore.text),
      '--- before',
      before,
      `--- the kernel: ${there.stderr}`,
      there.text,
      `--- the fake: ${here.stderr}`,
      here.text,
    ].join('\n')
  }
  return undefined
}

interface Outcome {
  /** The verdict, and every table after it. */
  readonly text: string
  readonly stderr: string
}

async function outcome(iptables: Iptables, restore: RandomRestore): Promise<Outcome> {
  const { verdict, stderr } = await verdictOf(iptables, restore)
  const save = await iptables.save({ counters: true })
  return { text: `${verdict}\n${save.replaceAll(/^#.*\n/gm, '')}`, stderr }
}

async function verdictOf(
  iptables: Iptables,
  restore: RandomRestore,
): Promise<{ readonly verdict: string; readonly stderr: string }> {
  try {
    await iptables.restore(restore)
    return { verdict: 'done', stderr: '' }
  } catch (error) {
    if (!(error instanceof IptablesError)) throw error
    return { verdict: `${error.code}, line ${error.restore?.line.number ?? 'unknown'}`, stderr: error.stderr }
  }
}

const numbered = (text: string): string =>
  text
    .split('\n')
    .map((line, at) => `${at + 1}\t${line}`)
    .join('\n')
