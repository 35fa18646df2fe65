import { describe, expect, it } from 'vitest'
import { lineSink } from '../output/terminal.js'
import { createAgentLogger } from './agent-log.js'

function logger(format: 'text' | 'json', verbosity = 0) {
  const written: string[] = []
  const sink = lineSink({ write: (text) => written.push(text) })
  return { written, ...createAgentLogger({ format, verbosity, sink, now: () => 1_700_000_000_000 }) }
}

describe('what an agent says', () => {
  it('is a line of text with the time and how grave it is', () => {
    const { written, say } = logger('text')
    say({ level: 'warn', message: 'two\nlines', verbosity: 0 })
    expect(written).toEqual(['2023-11-14T22:13:20.000Z warn  two\\nlines\n'])
  })

  it('is an object a line where the format is json', () => {
    const { written, say } = logger('json')
    say({ level: 'error', message: 'no', verbosity: 0 })
    expect(written.map((line) => JSON.parse(line))).toEqual([
      { level: 'error', ts: '2023-11-14T22:13:20.000Z', v: 0, msg: 'no' },
    ])
    expect(written[0]).toMatch(/\n$/)
  })

  it.each([
    [0, ['a']],
    [2, ['a', 'b']],
    [4, ['a', 'b', 'c']],
  ])('is as much as verbosity %i lets through', (verbosity, expected) => {
    const { written, say } = logger('json', verbosity)
    for (const [message, verbosity] of [
      ['a', 0],
      ['b', 2],
      ['c', 4],
    ] as const)
      say({ level: 'info', message, verbosity })
    expect(written.map((line) => JSON.parse(line).msg)).toEqual(expected)
  })

  it('is more once the verbosity is set higher', () => {
    const { written, say, setVerbosity, verbosity } = logger('text')
    say({ level: 'info', message: 'before', verbosity: 3 })
    setVerbosity(3)
    say({ level: 'info', message: 'after', verbosity: 3 })
    expect([verbosity(), written.length]).toEqual([3, 1])
  })
})
