import type { Run, RunRequest } from 'node-iptables'

/** Runs processes, but for transactions of nft that are told to fail. */
export interface FaultyRun {
  readonly run: Run
  /** The next transaction fails, and nothing of it is done. */
  readonly failNext: () => void
  /** The next transaction is done, and its sender does not hear of it. */
  readonly failHalfWay: () => void
  /** Transactions with such lines are refused, as nft refuses them: with the number of the line. */
  readonly refuseWhen: (refuses: (lines: readonly string[]) => boolean) => void
}

export function faultyRun(real: Run): FaultyRun {
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
    failNext: () => void (next = 'fails'),
    failHalfWay: () => void (next = 'fails late'),
    refuseWhen: (given) => void (refuses = given),
  }
}

async function linesOf({ input = [] }: RunRequest): Promise<readonly string[]> {
  let text = ''
  for await (const piece of input) text += piece
  return text.split('\n')
}
