import type { Match } from '../rule.js'
import { isBareName } from '../values.js'
import type { Extension } from './extension.js'

type NfacctMatch = Extract<Match, { type: 'nfacct' }>

export const nfacct: Extension<NfacctMatch> = {
  options: { '--nfacct-name': { values: 1 } },
  read: (given) => {
    const [name] = given.get('--nfacct-name')?.values ?? []
    return name !== undefined && isObjectName(name) ? { type: 'nfacct', name } : undefined
  },
  // The empty word makes the second space, which iptables-save prints here.
  write: ({ name }) => (isObjectName(name) ? ['--nfacct-name', '', name] : undefined),
}

// NFACCT_NAME_MAX is 32 with the ending NUL.
const isObjectName = (name: string): boolean => isBareName(name) && Buffer.byteLength(name) < 32
