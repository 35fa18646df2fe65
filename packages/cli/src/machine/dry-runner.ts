import type { Run } from 'node-iptables'

/**
 * Runs what only looks. A command that would change something is counted as done, unless its program is lacking, and
 * named in `skipped`, for a person.
 */
export function dryRunner(run: Run): { readonly run: Run; readonly skipped: readonly string[] } {
  const skipped: string[] = []
  return {
    skipped,
    run: async (request) => {
      const [program, verb] = request.argv
      const isChange =
        program === 'tee' || (program === 'nfacct' && verb === 'add') || (program === 'nft' && verb === 'delete')
      if (!isChange) return run(request)
      // It fails where there is no nfacct(8), and where the kernel does not know it, as adding would.
      if (program === 'nfacct') {
        const look = await run({ ...request, argv: ['nfacct', 'list'] })
        if (look.exitCode !== 0) return look
      }
      skipped.push(program === 'tee' ? `write 1 into ${verb ?? ''}` : `run ${request.argv.join(' ')}`)
      return { argv: request.argv, exitCode: 0, signal: null, stdout: '', stderr: '' }
    },
  }
}
