import { expect, test } from 'vitest'
import { documentLines } from './json.js'

test.each([[[]], [[{ a: 1 }]], [[{ a: { b: [1, 'x\ny'] } }, { c: {} }]]])(
  'items that come one by one make the document that they would make together: %j',
  (items) => {
    const head = { kind: 'RuleList', at: { seq: 1 }, node: 'node-a' }
    const whole = JSON.stringify({ apiVersion: 'pointsman/v1', ...head, items }, undefined, 2)
    expect([...documentLines(head, items)].join('\n')).toBe(whole)
  },
)
