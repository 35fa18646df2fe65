import { describe, expect, it } from 'vitest'
import { attributesIn, messagesIn, requestOf } from './messages.js'

describe('a datagram', () => {
  it('is taken apart into its messages, each aligned to four bytes', () => {
    const datagram = Buffer.concat([requestOf({ type: 0x0a_10, sequence: 7 }), requestOf({ type: 2, sequence: 8 })])
    expect([...messagesIn(datagram)]).toEqual([
      { type: 0x0a_10, flags: 5, sequence: 7, payload: Buffer.alloc(4) },
      { type: 2, flags: 5, sequence: 8, payload: Buffer.alloc(4) },
    ])
  })

  it.each([0, 15, 24, 0xff_ff_ff_ff])('ends at a message that says it is %i bytes long', (length) => {
    const bad = requestOf({ type: 1, sequence: 1 })
    bad.writeUInt32LE(length, 0)
    expect([...messagesIn(Buffer.concat([requestOf({ type: 2, sequence: 2 }), bad]))]).toHaveLength(1)
    expect([...messagesIn(bad.subarray(0, 15))]).toEqual([])
  })
})

describe('the attributes of a message', () => {
  it('are read by number, without flags and padding', () => {
    const payload = Buffer.from('00000000 08000100 0000002a 06000380 61620000 04000500'.replaceAll(' ', ''), 'hex')
    expect([...attributesIn(payload)]).toEqual([
      [1, Buffer.from('0000002a', 'hex')],
      [3, Buffer.from('ab')],
      [5, Buffer.alloc(0)],
    ])
  })

  it.each(['0300', '0900', 'ffff'])('end at one of the length 0x%s', (length) => {
    expect(attributesIn(Buffer.from(`00000000${length}010000000000`, 'hex')).size).toBe(0)
  })
})
