import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Context } from '../../packages/cli/src/context.js'
import { DATAPLANES } from '../../packages/cli/src/dataplanes.js'
import { createProgram } from '../../packages/cli/src/program.js'
import { runInProcess } from '../support/run-in-process.js'

const GOLDENS = fileURLToPath(new URL('../../fixtures/golden/', import.meta.url))
const OF_1_20 = ['--objects', `${GOLDENS}kube-proxy-1.20/cluster-ip/objects.json`, '--node', 'node-a']
const PACKET = 'tcp 10.244.1.9 -> 10.96.11.11:80'

/** What is asked besides the option, of commands that need no log and no kernel. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  services: OF_1_20,
  explain: ['default/kubernetes', ...OF_1_20],
  rules: OF_1_20,
  render: [...OF_1_20, '--family', 'ipv4'],
  trace: [PACKET, ...OF_1_20],
}

/** In which mode a layout is. */
const modeOf = (layout: string): string =>
  DATAPLANES.find(({ layouts }) => layouts.some((name) => name === layout))?.mode ?? 'none'

/** What is refused with a reason of its own, as `--family dual` of a command that prints one file. */
const CONDITIONAL = new Set(['--family', '--from', '--to'])

describe('no option that --help offers is refused', () => {
  test.each(Object.entries(ASKED))('by %s', async (name, asked) => {
    const program = await createProgram([name], '0.0.0', { dataplanes: DATAPLANES } as unknown as Context)
    const command = program.commands.find((each) => each.name() === name)
    const offered = (command?.options ?? []).flatMap(({ long, argChoices }) =>
      typeof long === 'string' && argChoices !== undefined && !CONDITIONAL.has(long)
        ? argChoices.map((choice) => ({ long, choice }))
        : [],
    )
    expect(offered).toContainEqual({ long: '--layout', choice: 'compact' })
    for (const { long, choice } of offered) {
      const mode = long === '--layout' && name !== 'services' ? ['--proxy-mode', modeOf(choice)] : []
      const running = runInProcess([name, ...asked, ...mode, long, choice])
      const status = await running.ended
      expect({ long, choice, refusal: status > 1 ? running.stderr() : '' }).toEqual({ long, choice, refusal: '' })
    }
  })
})
