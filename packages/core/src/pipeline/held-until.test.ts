import { TestScheduler } from 'rxjs/testing'
import { describe, expect, it } from 'vitest'
import { heldUntil } from './track-changes.js'

function expectHeld(source: string, word: string, wanted: string): void {
  const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected))
  scheduler.run(({ hot, expectObservable }) => {
    expectObservable(hot(source).pipe(heldUntil(hot(word)))).toBe(wanted)
  })
}

describe('heldUntil', () => {
  it('lets the last that was held pass when the word is given, and then everything', () => {
    expectHeld('ab---c-d', '---x', '---b-c-d')
  })

  it('lets nothing pass when nothing was held', () => {
    expectHeld('-----a', '--x-', '-----a')
  })

  it('does not take the end of what it holds for the word', () => {
    expectHeld('a-|', '-----x', '--|')
  })

  it('goes on holding when the word is never given', () => {
    expectHeld('ab', '--|', '')
  })
})
