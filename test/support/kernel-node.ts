import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Variant } from 'node-iptables'
import { enterKernelNamespace, tablesInOrder } from '../../packages/backend-iptables/src/test-support/kernel.js'
import type { SaveFile } from './goldens.js'
import { type Ended, runPointsman, runPointsmanProcess } from './run-pointsman.js'

/**
 * A network namespace that is the node of the goldens, with rules of others in every table of both families. The test is in it:
 * there is one at a time.
 */
export interface KernelNode {
  readonly variant: Variant
  /** The command in it, in this process, from the sources. */
  readonly pointsman: (...args: readonly string[]) => Promise<Ended>
  /** The built command in it, as a process of its own that finds programs by this PATH. */
  readonly pointsmanWith: (path: string, ...args: readonly string[]) => Promise<Ended>
  /** Another command in it, words with spaces between, and what that prints. */
  readonly run: (command: string) => string
  /** The tables as a save has them, without its comments and what was counted. */
  readonly saved: (file: SaveFile) => string
  /** The processes in it, without this one. */
  readonly pids: () => readonly number[]
  readonly remove: () => void
}

export function createKernelNode(variant: Variant): KernelNode {
  const { run: runWords, pids, remove } = enterKernelNamespace()
  const scratch = mkdtempSync(join(tmpdir(), 'pointsman-node-'))
  const run = (command: string): string => runWords(...command.split(' '))
  writeFileSync(join(scratch, 'links'), NODE)
  writeFileSync(join(scratch, 'others'), OTHERS)
  const restores = ['iptables', 'ip6tables'].map((program) => `${program}-${variant}-restore ${scratch}/others`)
  runWords('sh', '-c', [`ip -batch ${scratch}/links`, ...restores].join(' && '))
  return {
    variant,
    pids,
    run,
    pointsman: (...args) => runPointsman(args),
    pointsmanWith: (path, ...args) => runPointsmanProcess(args, { env: { PATH: path } }),
    saved: (file) => tablesInOrder(run(`${PROGRAM[file]}-${variant}-save`)).replaceAll(/\[\d+:\d+\]/g, '[0:0]'),
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

const NODE = `link set lo up
link add eth0 type veth peer name eth1
link set eth1 up
addr add 192.168.55.10/24 dev eth0
addr add fd00:55::10/64 dev eth0 nodad
link set eth0 up
`

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
