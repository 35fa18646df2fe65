import { expect, it } from 'vitest'
import { classifyFailure, IPTABLES_ERRORS, type IptablesErrorCode } from './iptables-error.js'

type Said = readonly [code: IptablesErrorCode, exitCode: number, stderr: string]

const advice = "\nTry `iptables -h' or 'iptables --help' for more information.\n"

// Recorded from 1.8.9; those of ip6tables differ by its name alone.
const NFT: readonly Said[] = [
  [
    'NO_PERMISSION',
    4,
    'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)',
  ],
  [
    'NO_PERMISSION',
    4,
    'ip6tables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)',
  ],
  ['NO_SUCH_CHAIN', 2, `iptables v1.8.9 (nf_tables): Chain 'NOPE' does not exist${advice}`],
  [
    'NO_SUCH_CHAIN',
    2,
    `iptables-nft-restore v1.8.9 (nf_tables): Chain 'NOPE' does not exist\nError occurred at line: 3${advice}`,
  ],
  ['NO_SUCH_CHAIN', 1, "iptables v1.8.9 (nf_tables): chain `NOPE' in table `filter' is incompatible, use 'nft' tool."],
  ['NO_SUCH_CHAIN', 1, 'iptables-nft-restore: line 2 failed: No chain/target/match by that name.'],
  [
    'NO_SUCH_CHAIN',
    2,
    `iptables v1.8.9 (nf_tables): Couldn't load match \`nosuch':No such file or directory\n${advice}`,
  ],
  ['CHAIN_EXISTS', 1, 'iptables-nft-restore: line 2 failed: Chain already exists.'],
  ['CHAIN_IN_USE', 4, 'iptables v1.8.9 (nf_tables):  CHAIN_DEL failed (Device or resource busy): chain A'],
  [
    'CHAIN_IN_USE',
    4,
    'iptables-nft-restore v1.8.9 (nf_tables): \nline 2: CHAIN_DEL failed (Device or resource busy): chain A',
  ],
  ['NO_SUCH_RULE', 1, 'iptables-nft-restore: line 2 failed: Bad rule (does a matching rule exist in that chain?).'],
  [
    'NO_KERNEL_SUPPORT',
    4,
    'iptables v1.8.9 (nf_tables):  RULE_APPEND failed (No such file or directory): rule in chain A',
  ],
  [
    'NO_KERNEL_SUPPORT',
    4,
    'Warning: Extension LED revision 0 not supported, missing kernel module?\niptables v1.8.9 (nf_tables):  RULE_APPEND failed (No such file or directory): rule in chain INPUT',
  ],
  [
    'NO_KERNEL_SUPPORT',
    3,
    "iptables v1.8.9 (nf_tables): table 'nosuch' does not exist\nPerhaps iptables or your kernel needs to be upgraded.",
  ],
  [
    'NO_KERNEL_SUPPORT',
    2,
    `iptables-nft-restore v1.8.9 (nf_tables): iptables-nft-restore: line 1 table name 'nosuch' invalid\nError occurred at line: 1${advice}`,
  ],
  ['NO_KERNEL_SUPPORT', 1, "Table `nosuch' does not exist"],
  ['NO_KERNEL_SUPPORT', 2, `iptables v1.8.9 (nf_tables): Set nosuch doesn't exist.\n${advice}`],
  [
    'UNKNOWN_OPTION',
    2,
    `iptables-nft-restore v1.8.9 (nf_tables): unknown option "--nosuch"\nError occurred at line: 2${advice}`,
  ],
  ['FAILED', 4, 'iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Invalid argument): rule in chain A'],
  ['FAILED', 4, 'iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Too many links): rule in chain A'],
  [
    'FAILED',
    4,
    'iptables-nft-restore v1.8.9 (nf_tables): \nline 6: RULE_APPEND failed (Invalid argument): rule in chain C\nline 7: CHAIN_DEL failed (Device or resource busy): chain B',
  ],
  [
    'CHAIN_IN_USE',
    4,
    'iptables-nft-restore v1.8.9 (nf_tables): \nline 5: CHAIN_DEL failed (Device or resource busy): chain B\nline 6: RULE_APPEND failed (No such file or directory): rule in chain C',
  ],
  ['FAILED', 1, 'iptables-nft-restore: line 2 failed: Bad policy name.'],
]

const LEGACY: readonly Said[] = [
  ['NO_PERMISSION', 4, "Fatal: can't open lock file /run/xtables.lock: Permission denied"],
  [
    'NO_PERMISSION',
    3,
    "iptables v1.8.9 (legacy): can't initialize iptables table `filter': Permission denied (you must be root)\nPerhaps iptables or your kernel needs to be upgraded.",
  ],
  ['NO_PERMISSION', 1, 'iptables-save v1.8.9 (legacy): Cannot initialize: Permission denied (you must be root)'],
  [
    'LOCK_HELD',
    4,
    "Can't lock /run/other.lock: Resource temporarily unavailable\nAnother app is currently holding the xtables lock. Stopped waiting after 1s.",
  ],
  ['NO_SUCH_CHAIN', 1, 'iptables: No chain/target/match by that name.'],
  ['NO_SUCH_CHAIN', 2, `iptables v1.8.9 (legacy): Couldn't load target \`NOPE':No such file or directory\n${advice}`],
  [
    'NO_SUCH_CHAIN',
    2,
    `iptables-restore v1.8.9 (legacy): Couldn't load match \`nosuch':No such file or directory\n\nError occurred at line: 2${advice}`,
  ],
  ['CHAIN_EXISTS', 1, 'iptables: Chain already exists.'],
  ['CHAIN_IN_USE', 1, 'iptables: Too many links.'],
  ['NO_SUCH_RULE', 1, 'iptables: Bad rule (does a matching rule exist in that chain?).'],
  ['NO_SUCH_RULE', 1, 'ip6tables: Index of deletion too big.'],
  [
    'NO_KERNEL_SUPPORT',
    1,
    'Warning: Extension ipvs revision 0 not supported, missing kernel module?\niptables: No chain/target/match by that name.',
  ],
  [
    'NO_KERNEL_SUPPORT',
    3,
    "iptables v1.8.9 (legacy): can't initialize iptables table `nosuch': Table does not exist (do you need to insmod?)\nPerhaps iptables or your kernel needs to be upgraded.",
  ],
  [
    'NO_KERNEL_SUPPORT',
    2,
    `iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nosuch'\nError occurred at line: 1${advice}`,
  ],
  [
    'NO_KERNEL_SUPPORT',
    1,
    'iptables-save v1.8.9 (legacy): Cannot initialize: Table does not exist (do you need to insmod?)',
  ],
  [
    'UNKNOWN_OPTION',
    1,
    "iptables-legacy-restore: unrecognized option '--nosuch'\nTry `iptables-restore -h' for more information.",
  ],
  ['BAD_ARGUMENT', 2, `ip6tables v1.8.9 (legacy): Bad IP address "1.2.3.4"${advice}`],
  ['BAD_ARGUMENT', 2, `iptables v1.8.9 (legacy): invalid port/service \`foo' specified${advice}`],
  ['BAD_ARGUMENT', 2, `iptables v1.8.9 (legacy): wait seconds not numeric${advice}`],
  ['BAD_ARGUMENT', 2, "Bad argument `hello'\nError occurred at line: 2\n"],
  ['FAILED', 1, "iptables: Invalid argument. Run `dmesg' for more information."],
  // legacy says nothing else of a restore that the kernel refuses, nor of -X, -D and -F without their object.
  ['FAILED', 1, 'iptables-restore: line 3 failed'],
  ['FAILED', 4, "Fatal: can't open lock file /nonexistent/x.lock: No such file or directory"],
]

// Not of 1.8.9: from reports, and from the sources of these versions.
const OTHERS: readonly Said[] = [
  ['LOCK_HELD', 4, 'Another app is currently holding the xtables lock. Perhaps you want to use the -w option?'],
  [
    'LOCK_HELD',
    4,
    'Another app is currently holding the xtables lock; still 4s 0us time ahead to have a chance to grab the lock...\nAnother app is currently holding the xtables lock. Stopped waiting after 5s.',
  ],
  ['CHAIN_IN_USE', 4, 'iptables v1.8.4 (nf_tables):  CHAIN_USER_DEL failed (Device or resource busy): chain A'],
  ['CHAIN_IN_USE', 1, 'iptables: Directory not empty.'],
  ['NO_KERNEL_SUPPORT', 4, 'iptables v1.8.7 (nf_tables): Could not fetch rule set generation id: Invalid argument'],
  ['NO_KERNEL_SUPPORT', 1, 'iptables/1.8.2 Failed to initialize nft: Protocol not supported'],
  ['UNKNOWN_OPTION', 2, `iptables v1.4.10: Unknown arg \`-C'${advice}`],
  ['UNKNOWN_OPTION', 2, `iptables v1.4.19: unknown option "-w"${advice}`],
  ['BAD_ARGUMENT', 2, "Bad argument `5'\nTry `iptables -h' or 'iptables --help' for more information."],
]

// The words before a command, as `prefix` has them, and the flock of versions that cannot wait.
const BEFORE: readonly Said[] = [
  ['NOT_FOUND', 1, 'exec of "iptables-nft" failed: No such file or directory'],
  ['NOT_FOUND', 69, 'flock: failed to execute iptables: No such file or directory'],
  ['NOT_FOUND', 127, 'setpriv: failed to execute iptables: No such file or directory'],
  ['NO_PERMISSION', 66, 'flock: cannot open lock file /run/xtables.lock: Permission denied'],
]

const ALL = [...NFT, ...LEGACY, ...OTHERS, ...BEFORE]

it.each(ALL)('%s: exit status %i, %s', (code, exitCode, stderr) => {
  expect(classifyFailure({ exitCode, stderr })).toBe(code)
})

it('covers every code that a message leads to', () => {
  const elsewhere = [
    'CANNOT_START',
    'UNKNOWN_VERSION',
    'MONITOR_ENDED',
    'RESTORE_FAILED',
    'OUTPUT_TOO_LONG',
    'TIMED_OUT',
    'ABORTED',
  ]
  const covered = new Set<string>([...ALL.map(([code]) => code), ...elsewhere])
  expect(Object.keys(IPTABLES_ERRORS).filter((code) => !covered.has(code))).toEqual([])
})
