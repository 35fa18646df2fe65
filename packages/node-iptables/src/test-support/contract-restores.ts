/** A restore, and what a save then shows of tables, user chains, rules and policies of DROP. */
export interface Change {
  readonly name: string
  /** Restored first. */
  readonly before?: string
  readonly text: string
  readonly flush?: boolean
  readonly after: readonly string[]
  readonly afterOnLegacy?: readonly string[]
}

/** A restore that is refused: the error's code, and the line that it names. */
export interface RefusedRestore {
  readonly name: string
  readonly before?: string
  readonly text: string
  readonly nft: readonly [code: string, line: number]
  readonly legacy: readonly [code: string, line: number]
}

const filter = (...lines: readonly string[]): string => ['*filter', ...lines, 'COMMIT', ''].join('\n')

const TWO_CHAINS = filter(':A - [0:0]', ':B - [0:0]', '-A A -j B', '-A B -j RETURN', '-A INPUT -j A')

export const CHANGES: readonly Change[] = [
  {
    name: "a chain's line makes or empties a user chain, and sets a built-in one's policy without emptying it",
    before: TWO_CHAINS,
    text: filter(':B - [0:0]', ':C - [0:0]', ':INPUT DROP [0:0]'),
    after: ['*filter', ':INPUT DROP [0:0]', ':A - [0:0]', ':B - [0:0]', ':C - [0:0]', '-A INPUT -j A', '-A A -j B'],
  },
  {
    name: 'with flush, the table has what the restore says alone',
    before: TWO_CHAINS,
    text: filter(':C - [0:0]', '-A OUTPUT -j C'),
    flush: true,
    after: ['*filter', ':C - [0:0]', '-A OUTPUT -j C'],
  },
  {
    name: 'one restore makes, empties and refills chains, inserts and deletes rules, and deletes a chain',
    before: TWO_CHAINS,
    text: filter(
      ':A - [0:0]',
      ':C - [0:0]',
      '-A C -j DROP',
      '-A A -i eth0 -j C',
      '-I INPUT -i lo -j C',
      '-D INPUT -j A',
      '-F B',
      '-X B',
    ),
    after: ['*filter', ':A - [0:0]', ':C - [0:0]', '-A INPUT -i lo -j C', '-A A -i eth0 -j C', '-A C -j DROP'],
  },
  {
    name: 'rules that are inserted one after the other stand in reverse, and a position counts from 1',
    before: filter('-A INPUT -i last'),
    text: filter(
      '-I INPUT -i third',
      '-I INPUT -i second',
      '-I INPUT 1 -i first',
      '-I INPUT 3 -i between',
      '-D INPUT 1',
    ),
    after: ['*filter', '-A INPUT -i second', '-A INPUT -i between', '-A INPUT -i third', '-A INPUT -i last'],
  },
  {
    name: 'a rule is deleted once for each time',
    before: filter('-A INPUT -i a', '-A INPUT -i b', '-A INPUT -i a'),
    text: filter('-D INPUT -i a'),
    after: ['*filter', '-A INPUT -i b', '-A INPUT -i a'],
  },
  {
    name: 'a table may come twice',
    text: `${filter(':A - [0:0]')}${filter('-A INPUT -j A')}`,
    after: ['*filter', ':A - [0:0]', '-A INPUT -j A'],
  },
  {
    name: 'all chains are emptied and deleted where none is named',
    before: TWO_CHAINS,
    text: filter('-F', '-X', '-A OUTPUT -j RETURN'),
    after: ['*filter', '-A OUTPUT -j RETURN'],
  },
  {
    name: 'user chains are saved by name, their rules after those of built-in chains',
    text: filter(':b - [0:0]', ':a-1 - [0:0]', ':B - [0:0]', ':a - [0:0]', '-A b -j a', '-A B -j b', '-A OUTPUT -j B'),
    after: [
      '*filter',
      ':B - [0:0]',
      ':a - [0:0]',
      ':a-1 - [0:0]',
      ':b - [0:0]',
      '-A OUTPUT -j B',
      '-A B -j b',
      '-A b -j a',
    ],
  },
  {
    name: 'nft saves tables in its own order, legacy the newest first',
    text: '*nat\n:A - [0:0]\nCOMMIT\n*mangle\n:A - [0:0]\nCOMMIT\n*raw\n:A - [0:0]\nCOMMIT\n*filter\n:A - [0:0]\nCOMMIT\n',
    after: ['*mangle', ':A - [0:0]', '*raw', ':A - [0:0]', '*filter', ':A - [0:0]', '*nat', ':A - [0:0]'],
    afterOnLegacy: ['*filter', ':A - [0:0]', '*raw', ':A - [0:0]', '*mangle', ':A - [0:0]', '*nat', ':A - [0:0]'],
  },
  {
    name: 'a table that nothing is put into is made by legacy alone',
    text: '*filter\n:A - [0:0]\nCOMMIT\n*mangle\nCOMMIT\n',
    after: ['*filter', ':A - [0:0]'],
    afterOnLegacy: ['*mangle', '*filter', ':A - [0:0]'],
  },
  {
    name: 'nft forgets the policies of a table that is emptied, legacy keeps them',
    before: filter(':INPUT DROP [0:0]', ':A - [0:0]'),
    text: filter(':A - [0:0]'),
    flush: true,
    after: ['*filter', ':A - [0:0]'],
    afterOnLegacy: ['*filter', ':INPUT DROP [0:0]', ':A - [0:0]'],
  },
  {
    name: 'chains that go round are no loop while no packet comes to them',
    text: filter(':A - [0:0]', ':B - [0:0]', '-A A -j B', '-A B -j A'),
    after: ['*filter', ':A - [0:0]', ':B - [0:0]', '-A A -j B', '-A B -j A'],
  },
  {
    name: 'an object that is there can be counted into',
    text: filter('-A INPUT -m nfacct --nfacct-name known'),
    after: ['*filter', '-A INPUT -m nfacct --nfacct-name  known'],
  },
]

export const REFUSALS: readonly RefusedRestore[] = [
  {
    name: 'a jump to a chain that is not there',
    text: filter(':A - [0:0]', '-A A -j NOPE'),
    nft: ['NO_SUCH_CHAIN', 4],
    legacy: ['NO_SUCH_CHAIN', 3],
  },
  {
    name: 'a jump to a chain that comes later',
    text: filter(':A - [0:0]', '-A A -j LATER', ':LATER - [0:0]'),
    nft: ['NO_SUCH_CHAIN', 5],
    legacy: ['NO_SUCH_CHAIN', 3],
  },
  {
    name: 'a goto to a chain that is not there',
    text: filter(':A - [0:0]', '-A A -g NOPE'),
    nft: ['NO_SUCH_CHAIN', 4],
    legacy: ['BAD_ARGUMENT', 3],
  },
  {
    name: 'a rule in a chain that is not there',
    text: filter('-A NOPE -j DROP'),
    nft: ['NO_SUCH_CHAIN', 2],
    legacy: ['RESTORE_FAILED', 2],
  },
  {
    name: 'a chain is deleted that is jumped to',
    before: TWO_CHAINS,
    text: filter('-F B', '-X B'),
    nft: ['CHAIN_IN_USE', 3],
    legacy: ['RESTORE_FAILED', 3],
  },
  {
    name: 'a chain is deleted that has rules',
    before: TWO_CHAINS,
    text: filter('-F INPUT', '-X A'),
    nft: ['CHAIN_IN_USE', 3],
    legacy: ['RESTORE_FAILED', 3],
  },
  {
    name: 'a chain is deleted that is not there',
    text: filter('-X NOPE'),
    nft: ['NO_SUCH_CHAIN', 2],
    legacy: ['RESTORE_FAILED', 2],
  },
  {
    name: 'a chain is made that is there',
    before: TWO_CHAINS,
    text: filter('-N A'),
    nft: ['CHAIN_EXISTS', 2],
    legacy: ['RESTORE_FAILED', 2],
  },
  {
    name: 'a rule is deleted that is not there',
    before: TWO_CHAINS,
    text: filter('-A INPUT -j B', '-D INPUT -j DROP'),
    nft: ['NO_SUCH_RULE', 3],
    legacy: ['RESTORE_FAILED', 3],
  },
  {
    name: 'a position that is not there',
    before: TWO_CHAINS,
    text: filter('-I INPUT 3 -j B'),
    nft: ['NO_SUCH_RULE', 2],
    legacy: ['RESTORE_FAILED', 2],
  },
  {
    name: 'an object that is not there is counted into',
    text: filter(':A - [0:0]', '-A A -m nfacct --nfacct-name unknown', '-A A -j RETURN'),
    nft: ['NO_KERNEL_SUPPORT', 3],
    legacy: ['RESTORE_FAILED', 5],
  },
  {
    name: 'packets would go round',
    text: filter(':A - [0:0]', ':B - [0:0]', '-A INPUT -j A', '-A A -j B', '-A B -i lo -j A', '-A B -j DROP'),
    nft: ['RESTORE_FAILED', 6],
    legacy: ['RESTORE_FAILED', 8],
  },
  {
    name: 'a target of another table',
    text: filter(':A - [0:0]', '-A A -j MASQUERADE', '-A INPUT -j A'),
    nft: ['RESTORE_FAILED', 3],
    legacy: ['RESTORE_FAILED', 5],
  },
  {
    name: 'a jump to a built-in chain',
    text: filter(':A - [0:0]', '-A A -j INPUT'),
    nft: ['NO_KERNEL_SUPPORT', 3],
    legacy: ['RESTORE_FAILED', 3],
  },
  {
    name: 'an interface that no packet of the hook has',
    text: filter('-A OUTPUT -i lo -j DROP'),
    nft: ['BAD_ARGUMENT', 2],
    legacy: ['BAD_ARGUMENT', 2],
  },
  {
    name: 'a policy for a user chain',
    before: TWO_CHAINS,
    text: filter('-P A DROP'),
    nft: ['RESTORE_FAILED', 2],
    legacy: ['RESTORE_FAILED', 2],
  },
  {
    name: "a chain's name that is too long",
    text: filter(':ABCDEFGHIJKLMNOPQRSTUVWXYZabc - [0:0]'),
    nft: ['BAD_ARGUMENT', 2],
    legacy: ['BAD_ARGUMENT', 2],
  },
  {
    name: 'a name that is a verdict',
    text: filter('-N ACCEPT'),
    nft: ['BAD_ARGUMENT', 2],
    legacy: ['BAD_ARGUMENT', 2],
  },
  {
    name: 'a match that nobody knows',
    text: filter('-A INPUT -m nosuch'),
    nft: ['NO_SUCH_CHAIN', 2],
    legacy: ['NO_SUCH_CHAIN', 2],
  },
  {
    name: 'an option that nobody knows',
    text: filter('-A INPUT -p tcp --nosuch 5 -j DROP'),
    nft: ['UNKNOWN_OPTION', 2],
    legacy: ['UNKNOWN_OPTION', 2],
  },
  {
    name: 'a port that is none',
    text: filter('-A INPUT -p tcp --dport 65536 -j DROP'),
    nft: ['BAD_ARGUMENT', 2],
    legacy: ['BAD_ARGUMENT', 2],
  },
  { name: 'a line that is none', text: filter('hello'), nft: ['BAD_ARGUMENT', 2], legacy: ['BAD_ARGUMENT', 2] },
  {
    name: 'a table that is none',
    text: '*nosuch\nCOMMIT\n',
    nft: ['NO_KERNEL_SUPPORT', 1],
    legacy: ['NO_KERNEL_SUPPORT', 1],
  },
  {
    name: 'a line outside of a table',
    text: ':A - [0:0]\n',
    nft: ['RESTORE_FAILED', 1],
    legacy: ['RESTORE_FAILED', 1],
  },
]
