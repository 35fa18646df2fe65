import { capabilitiesOf, type Iptables, type Variant } from '../iptables.js'
import { commandsOf } from '../commands.js'
import { executablesOf, type Family } from '../detect-variant.js'
import { tableMethods } from '../create-iptables.js'
import { firstOf } from './kernel-table.js'
import { fakeRun, type Fault, faultPlan, type RecordedCall } from './fake-run.js'
import { kernelTables } from './apply-operation.js'
import { restoreProgram } from './restore-program.js'
import { saveText } from './save-program.js'
import { FAKE_VERSION } from './spell-failure.js'

export interface FakeIptablesOptions {
  readonly family: Family
  readonly variant: Variant
  /** The nfacct objects that there are: a rule that counts into another one is refused. Default: none. */
  readonly nfacctObjects?: Iterable<string> | undefined
  /** Whether `calls` has the texts that restores read. Default: true. */
  readonly keepTexts?: boolean | undefined
}

/** Iptables on tables in memory, and what a test needs besides. */
export interface FakeIptables extends Iptables {
  /** What was called, oldest first. */
  readonly calls: readonly RecordedCall[]
  readonly forgetCalls: () => void
  /** Makes a coming call fail; several strike one after the other. */
  readonly failNext: (fault: Fault) => void
  /**
   * A change by another program: what a restore with `--noflush` reads. It is not among the calls, and no fault strikes it.
   * Throws when it is refused, because that is a mistake of the test.
   */
  readonly change: (text: string) => void
  /** What a save prints now, without its comments: of one table, or of all. */
  readonly text: (table?: string) => string
}

/**
 * A model of what the kernel and iptables 1.8.9 do with tables: the same verdicts, error codes, lines and saves. It
 * moves no packets, and counts none. A match or target that rule.ts does not know is taken as it is written.
 *
 * Not so exact: which of two mistakes in one rule is named, and what comes of nft's habit to look at a chain's rules as they
 * were before the restore. A `-D`, or a `-I` with a position, into a chain that the restore's `:CHAIN` line has emptied, a
 * `-I` before a rule that is deleted later, and a `-X` of built-in chains end otherwise there. Don't send these.
 */
export function createFakeIptables(options: FakeIptablesOptions): FakeIptables {
  const { family, variant, nfacctObjects = [], keepTexts = true } = options
  const tables = kernelTables({ family, variant }, new Set(nfacctObjects))
  const faults = faultPlan()
  const calls: RecordedCall[] = []
  const run = fakeRun({ tables, faults, keepTexts, onCall: (call) => calls.push(call) })
  const lockFile = '/nonexistent/xtables.lock'
  const capabilities = capabilitiesOf(`iptables v${FAKE_VERSION} (${variant === 'nft' ? 'nf_tables' : 'legacy'})`)
  if (capabilities === undefined) throw new Error('the fake has a version')

  return {
    family,
    capabilities,
    choice: undefined,
    ...tableMethods({
      commands: commandsOf({ run, prefix: [], env: {}, lockFile }),
      executables: executablesOf({ family, variant, folder: undefined }),
      capabilities,
      family,
      waitSeconds: 5,
      timeoutMs: undefined,
      lockFile,
    }),
    calls,
    forgetCalls: () => void calls.splice(0),
    failNext: faults.add,
    change: (text) => {
      const program = restoreProgram(tables, { noflush: true, counters: false })
      const lines = text.replace(/\n$/, '').split('\n')
      const ending = firstOf(lines, program.read) ?? program.end()
      program.giveUp()
      if (ending.exitCode !== 0) throw new Error(`the change is refused: ${ending.stderr}`)
    },
    text: (name) => [...saveText(tables, { name, counters: false })].filter((line) => !line.startsWith('#')).join(''),
  }
}
