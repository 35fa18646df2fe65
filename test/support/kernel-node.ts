import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Variant } from 'node-iptables'
import { createKernelNamespace } from '../../packages/backend-iptables/src/test-support/kernel.js'
import type { SaveFile } from './goldens.js'
import { type Ended, runPointsman } from './run-pointsman.js'

/** A network namespace that is the node of the goldens, with rules of others in every table of both families. */
export interface KernelNode {
  readonly variant: Variant
  /** The built command in it. */
  readonly pointsman: (...args: readonly string[]) => Promise<Ended>
  /** Another command in it, words with spaces between, and what that prints. */
  readonly run: (command: string) => string
  /** Words before a command that runs in it. */
  readonly prefix: readonly string[]
  /** Replaces the tables of the text. */
  readonly restore: (file: SaveFile, text: string) => void
  /** The tables as a save has them, without its comments and what was counted. */
  readonly saved: (file: SaveFile) => string
  readonly remove: () => void
}

export function createKernelNode(variant: Variant): KernelNode {
  const { prefix, run: runWords, remove } = createKernelNamespace()
  const scratch = mkdtempSync(join(tmpdir(), 'pointsman-node-'))
  const run = (command: string): string => runWords(...command.split(' '))
  const restore = (file: SaveFile, text: string): void => {
    const path = join(scratch, file)
    writeFileSync(path, text)
    run(`${PROGRAM[file]}-${variant}-restore ${path}`)
  }
  for (const command of NODE) run(command)
  restore('iptables-save.txt', OTHERS)
  restore('ip6tables-save.txt', OTHERS)
  return {
    variant,
    prefix,
    run,
    restore,
    pointsman: (...args) => runPointsman(args, { prefix }),
    saved: (file) =>
      ['mangle', 'filter', 'nat']
        .map((table) => run(`${PROGRAM[file]}-${variant}-save -t ${table}`))
        .join('')
        .replaceAll(/^#.*\n/gm, '')
        .replaceAll(/\[\d+:\d+\]/g, '[0:0]'),
    remove: () => {
      remove()
      rmSync(scratch, { recursive: true })
    },
  }
}

const PROGRAM: { readonly [file in SaveFile]: string } = {
  'iptables-save.txt': 'iptables',
  'ip6tables-save.txt': 'ip6tables',
}

const NODE = [
  'ip link set lo up',
  'ip link add eth0 type veth peer name eth1',
  'ip link set eth1 up',
  'ip addr add 192.168.55.10/24 dev eth0',
  'ip addr add fd00:55::10/64 dev eth0 nodad',
  'ip link set eth0 up',
]

/** What a node may have besides: kubelet's hint chain, a CNI's chains, an administrator's rules. */
const OTHERS = `*mangle
:KUBE-IPTABLES-HINT - [0:0]
-A PREROUTING -i eth9 -j MARK --set-xmark 0x1/0x1
COMMIT
*filter
:CNI-FORWARD - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "CNI portfwd" -j CNI-FORWARD
-A CNI-FORWARD -i cni0 -j ACCEPT
COMMIT
*nat
:CNI-HOSTPORT - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT
-A POSTROUTING -o eth9 -j MASQUERADE
COMMIT
`
