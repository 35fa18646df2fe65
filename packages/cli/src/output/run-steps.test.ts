import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { Context } from '../context.js'
import { DATAPLANES } from '../dataplanes.js'
import { lineSink, styleFor } from './terminal.js'
import { runSteps } from './progress.js'

interface World {
  readonly context: Context
  readonly said: string[]
  readonly statuses: number[]
}

function world(interrupted: AbortSignal): World {
  const style = styleFor({ env: {}, isTTY: false })
  const said: string[] = []
  const statuses: number[] = []
  const stderr = lineSink({ write: (text: string) => void said.push(text) })
  const finish = (status: number): void => void statuses.push(status)
  const stdin = Readable.from([])
  const rest = { stdin, stdout: stderr, env: {}, now: () => 0, style, errorStyle: style, dataplanes: DATAPLANES }
  return { context: { ...rest, stderr, interrupted, finish }, said, statuses }
}

function* counting(seen: number[], onStep?: (step: number) => void): Generator<number, string, undefined> {
  for (let step = 1; step <= 3; step++) {
    seen.push(step)
    onStep?.(step)
    yield step
  }
  return 'done'
}

test('gives the result at the end', async () => {
  const seen: number[] = []
  const { context, said, statuses } = world(new AbortController().signal)
  expect(await runSteps(counting(seen), String, context)).toBe('done')
  expect({ seen, said, statuses }).toEqual({ seen: [1, 2, 3], said: [], statuses: [] })
})

test('stops at the step in which it was interrupted, with a word and status 130', async () => {
  const seen: number[] = []
  const controller = new AbortController()
  const { context, said, statuses } = world(controller.signal)
  const steps = counting(seen, (step) => {
    if (step === 2) controller.abort()
  })
  expect(await runSteps(steps, String, context)).toBeUndefined()
  expect({ seen, said, statuses }).toEqual({ seen: [1, 2], said: ['interrupted\n'], statuses: [130] })
})
