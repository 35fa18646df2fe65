import { NetfilterError, type ElementChange } from 'node-netfilter'
import type { Run, RunRequest } from 'node-iptables'
import type { Netlink } from '../adapter/netlink.js'
import { elementOfBytes } from '../table/bytes.js'

/** Runs processes and commits by netlink, but for transactions that are to fail. */
export interface FaultyWays {
  readonly run: Run
  readonly netlink: (real: Netlink | undefined) => Netlink
  /** The next transaction fails, and nothing of it is done. */
  readonly failNext: () => void
  /** The next transaction is done, and its sender does not hear of it. */
  readonly failHalfWay: () => void
  /** Transactions with such lines are refused, as nft refuses them: with the number of the line. */
  readonly refuseWhen: (refuses: (lines: readonly string[]) => boolean) => void
}

export function faultyWays(real: Run): FaultyWays {
  let next: 'fails' | 'fails late' | undefined
  let refuses: (lines: readonly string[]) => boolean = () => false
  return {
    async run(request) {
      if (request.argv[1] !== '-f') return real(request)
      const lines = await linesOf(request)
      const fault = next
      next = undefined
      if (fault === 'fails') throw new Error('told to fail')
      const number = lines.findIndex((line) => refuses([line])) + 1
      if (number > 0) {
        const stderr = `/dev/stdin:${number}:1-10: Error: Could not process rule: Invalid argument\n`
        return { argv: request.argv, exitCode: 1, signal: null, stdout: '', stderr }
      }
      const result = await real({ ...request, input: [lines.join('\n')] })
      if (fault === 'fails late') throw new Error('told to fail after the commit')
      return result
    },
    netlink(real) {
      if (real === undefined) throw new Error('this machine has no netlink')
      return {
        ...real,
        async commitElements(changes, options) {
          const fault = next
          next = undefined
          if (fault === 'fails') throw new Error('told to fail')
          if (refuses(changes.flatMap(linesOfChange)))
            throw new NetfilterError('FAILED', { operation: 'commit of elements', errno: 22 })
          const bytes = await real.commitElements(changes, options)
          if (fault === 'fails late') throw new Error('told to fail after the commit')
          return bytes
        },
      }
    },
    failNext: () => void (next = 'fails'),
    failHalfWay: () => void (next = 'fails late'),
    refuseWhen: (given) => void (refuses = given),
  }
}

/** Of what is added, as text, without addresses: what ends with a protocol and a port, with its comment and where it leads to. */
function linesOfChange({ type, family, table, set, elements }: ElementChange): readonly string[] {
  if (type === 'delete') return []
  return elements.map(({ key, verdict, comment = '' }) => {
    const port = elementOfBytes({ key: key.slice(-8) }, { name: set, kind: 'set', key: ['inet_proto', 'inet_service'] })
    const target = typeof verdict === 'object' ? JSON.stringify(verdict) : ''
    return `add element ${family} ${table} ${set} { ${port?.key.join(' . ')} comment "${comment}" : ${target} }`
  })
}

async function linesOf({ input = [] }: RunRequest): Promise<readonly string[]> {
  let text = ''
  for await (const piece of input) text += piece
  return text.split('\n')
}
