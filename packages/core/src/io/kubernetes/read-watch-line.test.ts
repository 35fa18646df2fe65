import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hostileObjectArbitrary } from '../../testing/arbitraries.js'
import { service } from '../../testing/manifests.js'
import { readPage } from './list.js'
import { readWatchLine } from './answer.js'

const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const web = service({ name: 'web', resourceVersion: '7' })

function shown(value: unknown): string {
  const line = readWatchLine(bytes(value), 'Service')
  switch (line.type) {
    case 'object':
      return `${line.event} ${line.object.metadata.name}`
    case 'bookmark':
      return `bookmark ${line.resourceVersion}${line.initialEventsEnd ? ' end' : ''}`
    case 'error':
      return `error ${line.status.code} ${line.status.reason}`
    case 'unreadable':
      return `unreadable: ${line.message}`
    case 'garbled':
      return 'garbled'
  }
}

const bookmark = (metadata: unknown): unknown => ({ type: 'BOOKMARK', object: { kind: 'Service', metadata } })

describe('a line of a watch', () => {
  test.each<[unknown, string]>([
    [{ type: 'ADDED', object: web }, 'ADDED web'],
    [{ type: 'DELETED', object: web }, 'DELETED web'],
    [bookmark({ resourceVersion: '9' }), 'bookmark 9'],
    [bookmark({ resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': 'true' } }), 'bookmark 9 end'],
    [bookmark({ resourceVersion: '9', annotations: { 'k8s.io/initial-events-end': true } }), 'bookmark 9'],
    [bookmark({}), 'unreadable: a bookmark without a resourceVersion'],
    [{ type: 'BOOKMARK' }, 'unreadable: a bookmark without a resourceVersion'],
    [{ type: 'ERROR', object: { code: 410, reason: 'Expired' } }, 'error 410 Expired'],
    [{ type: 'ERROR' }, 'error undefined '],
    [{ type: 'RENAMED', object: web }, 'unreadable: unknown event type "RENAMED"'],
    [{ type: 'ADDED', object: null }, 'unreadable: not an object where a Service should be'],
    [
      { type: 'ADDED', object: { ...web, metadata: {} } },
      'unreadable: the Service has no usable metadata: {"apiVersion":"v1","kind":"Service"}',
    ],
    [{ object: web }, 'garbled'],
    [[], 'garbled'],
    ['{"type":"ADDED","object":{"kind":"Serv', 'garbled'],
    ['null', 'garbled'],
  ])('%j', (value, expected) => {
    expect(shown(value)).toBe(expected)
  })

  test('whose bytes are no UTF-8 is refused: a name would be another', () => {
    const line = Buffer.from(JSON.stringify({ type: 'ADDED', object: web }))
    line[line.indexOf('web')] = 0xff
    expect(readWatchLine(line, 'Service')).toEqual({ type: 'garbled', cause: 'not UTF-8' })
  })

  test('never makes it throw, and gives no object of another kind', () => {
    fc.assert(
      fc.property(hostileObjectArbitrary('Service'), (object) => {
        const line = readWatchLine(bytes({ type: 'ADDED', object }), 'Service')
        if (line.type === 'object') expect(line.object.kind).toBe('Service')
        else expect(line.type).toBe('unreadable')
      }),
    )
  })
})

describe('a page of a list', () => {
  const list = (rest: object): Uint8Array =>
    bytes({ kind: 'ServiceList', apiVersion: 'v1', metadata: { resourceVersion: '9' }, ...rest })
  const { kind: _kind, apiVersion: _apiVersion, ...item } = web

  test('gives its items the kind that the list has, and says where the next begins', () => {
    const page = readPage(list({ metadata: { resourceVersion: '9', continue: 'next' }, items: [item] }), 'Service')
    expect(page).toEqual({
      type: 'page',
      objects: [expect.objectContaining({ kind: 'Service', apiVersion: 'v1' })],
      unreadable: [],
      resourceVersion: '9',
      continueToken: 'next',
    })
  })

  test('that has no items is empty, and an empty token is none', () => {
    expect(readPage(list({ metadata: { resourceVersion: '9', continue: '' }, items: null }), 'Service')).toEqual({
      type: 'page',
      objects: [],
      unreadable: [],
      resourceVersion: '9',
    })
  })

  test('with an item that is no object gives the others', () => {
    const page = readPage(list({ items: [item, 7, { metadata: { name: '' } }] }), 'Service')
    expect(page).toMatchObject({
      objects: [{ metadata: { name: 'web' } }],
      unreadable: [/not an object/, /no usable/].map((words) => ({ message: expect.stringMatching(words) })),
    })
  })

  test.each<[string, Uint8Array]>([
    ['that breaks off', list({ items: [item] }).subarray(0, 60)],
    ['of another kind', bytes({ kind: 'PodList', metadata: { resourceVersion: '9' }, items: [] })],
    ['that says not where it stands', list({ metadata: {}, items: [item] })],
    ['whose items are no list', list({ items: { item } })],
    ['in HTML', bytes('<html></html>')],
  ])('%s is no page: an empty one would delete everything', (_, page) => {
    expect(readPage(page, 'Service')).toMatchObject({ type: 'garbled' })
  })
})
