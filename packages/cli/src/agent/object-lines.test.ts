import { createEventMaker, service, slice } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import { createObjectLines } from './object-lines.js'

const make = createEventMaker()
const broken = service({ name: 'web', spec: { clusterIP: '10.96.0.300', loadBalancerSourceRanges: ['x'] } })

describe('what an agent says of objects', () => {
  it('names what cannot be read once, until something else is wrong or the object is gone', () => {
    const say = createObjectLines()
    const lines = [
      make.added(service({ name: 'good' })),
      make.added(broken),
      make.modified(broken),
      make.deleted(broken),
      make.added(broken),
    ].map((event) => say(event).map(({ level, message, verbosity }) => ({ level, message, verbosity })))
    expect(lines.map(({ length }) => length)).toEqual([0, 1, 0, 0, 1])
    expect(lines[1]).toEqual([
      {
        level: 'warn',
        verbosity: 0,
        message: expect.stringMatching(/^Service shop\/web is used without what cannot be read: .*10\.96\.0\.300/),
      },
    ])
  })

  it('tells of what is legal and gives no rules only to those who ask for more', () => {
    const [line] = createObjectLines()(make.added(slice({ name: 'own', service: null, endpoints: [] })))
    expect(line?.verbosity).toBe(2)
  })
})
