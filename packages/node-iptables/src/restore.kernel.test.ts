import { afterAll, beforeAll, expect, test } from 'vitest'
import { createIptables } from './create-iptables.js'
import type { Iptables } from './iptables.js'
import type { RestoreInput } from './restore-input.js'
import { enterNamespace, describeKernel, type Namespace } from './test-support/namespace.js'

const RULES = 170_000
const RULES_A_CHAIN = 17

describeKernel('a restore of 170,000 rules', () => {
  let namespace: Namespace
  let iptables: Iptables
  beforeAll(async () => {
    namespace = enterNamespace()
    iptables = await createIptables({ family: 'IPv4', variant: 'legacy' })
  })
  afterAll(() => namespace.remove())

  test.each<readonly [string, RestoreInput]>([
    ['a text', { text: [...ruleset('COMMIT'), ''].join('\n') }],
    ['lines that a function gives', { lines: () => ruleset('COMMIT') }],
  ])('leaves the event loop free: %s', async (_, input) => {
    const pauses = pausesBetweenTicks()
    await iptables.restore({ ...input, flush: true, counters: false })
    const longest = pauses.stop()
    expect(longest.ticks).toBeGreaterThan(20)
    // Generous: it is 5 ms where nothing else runs, and as long as the restore where something blocks.
    expect(longest.pauseMs).toBeLessThan(500)
    let rules = 0
    for await (const line of iptables.saveLines({ table: 'nat' })) if (line.startsWith('-A')) rules += 1
    expect(rules).toBe(RULES)
  })

  test('that fails at its end shows the line, of lines that were not kept', async () => {
    const lines = (): Iterable<string> => ruleset('-A NOWHERE -j ACCEPT\nCOMMIT')
    const restore = iptables.restore({ lines, flush: true, counters: false })
    const number = 1 + RULES / RULES_A_CHAIN + RULES + 1
    await expect(restore).rejects.toMatchObject({ restore: { line: { number, text: '-A NOWHERE -j ACCEPT' } } })
  })
})

function* ruleset(end: string): Generator<string> {
  yield '*nat'
  for (let chain = 0; chain < RULES / RULES_A_CHAIN; chain += 1) yield `:CHAIN-${chain} - [0:0]`
  for (let rule = 0; rule < RULES; rule += 1) {
    const address = `10.${rule >> 16}.${(rule >> 8) & 255}.${rule & 255}`
    const comment = `"namespace-${rule}/service:http cluster IP"`
    yield `-A CHAIN-${Math.floor(rule / RULES_A_CHAIN)} -d ${address}/32 -p tcp -m comment --comment ${comment} -m tcp --dport 80 -j RETURN`
  }
  yield* end.split('\n')
}

/** Counts how often a timer of 5 ms came to its turn, and the longest time between two turns. */
function pausesBetweenTicks(): { readonly stop: () => { readonly ticks: number; readonly pauseMs: number } } {
  let ticks = 0
  let pauseMs = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    pauseMs = Math.max(pauseMs, now - last)
    last = now
    ticks += 1
  }, 5)
  return {
    stop: () => {
      clearInterval(timer)
      return { ticks, pauseMs: Math.max(pauseMs, performance.now() - last) }
    },
  }
}
