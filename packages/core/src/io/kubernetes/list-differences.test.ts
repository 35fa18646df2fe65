import { describe, expect, test } from 'vitest'
import { service, slice } from '../../testing/manifests.js'
import {
  createKnownObjects,
  createListDifferences,
  type Difference,
  type KnownOfKind,
  versionOf,
} from './known-objects.js'
import type { KubernetesObject } from '../../model/kubernetes-object.js'

/** `b:7` is the object b with uid b in version 7; `b:7:u2` has another uid. */
function object(text: string): KubernetesObject {
  const [name = '', resourceVersion = '', uid = name] = text.split(':')
  return service({ name, uid, resourceVersion })
}

const shown = ({ type, object: it }: Difference): string => {
  const { name } = it.metadata
  const { resourceVersion, uid } = versionOf(it)
  return `${type} ${name}:${resourceVersion}${uid === name ? '' : `:${uid}`}`
}

function knowing(objects: readonly KubernetesObject[]): KnownOfKind {
  const known = createKnownObjects()
  objects.forEach(known.add)
  return known.of(objects[0]?.kind ?? 'Service')
}

function differencesOf(known: readonly string[], listed: readonly string[]): readonly string[] {
  const differences = createListDifferences(knowing(known.map(object)))
  const seen = listed.flatMap((text) =>
    text.startsWith('-')
      ? differences.gone({ type: 'DELETED', object: object(text.slice(1)) })
      : differences.see(object(text)),
  )
  return [...seen, ...differences.finish()].map(shown)
}

test.each<[string, readonly string[], readonly string[], readonly string[]]>([
  ['what is as it was gives nothing', ['a:1', 'b:2'], ['a:1', 'b:2'], []],
  ['the first list adds all', [], ['a:1', 'b:2'], ['ADDED a:1', 'ADDED b:2']],
  [
    'changes come in the order of the list',
    ['b:2', 'a:1'],
    ['a:3', 'b:5', 'c:4'],
    ['MODIFIED a:3', 'MODIFIED b:5', 'ADDED c:4'],
  ],
  ['another uid is another object', ['a:1'], ['a:9:new'], ['DELETED a:1', 'ADDED a:9:new']],
  ['what is gone goes last, by name', ['c:1', 'a:2', 'b:3'], ['b:4'], ['MODIFIED b:4', 'DELETED a:2', 'DELETED c:1']],
  [
    'an older version counts once the list is whole: a restored backup',
    ['a:10', 'b:2'],
    ['a:8', 'b:3'],
    ['MODIFIED b:3', 'MODIFIED a:8'],
  ],
  ['an older version that changes while the list is sent', ['a:10'], ['a:8', 'a:11'], ['MODIFIED a:11']],
  ['an object listed twice is one', [], ['a:1', 'a:1', 'a:2'], ['ADDED a:1', 'MODIFIED a:2']],
  ['a changed object listed twice is one change', ['a:1'], ['a:2', 'a:2'], ['MODIFIED a:2']],
  ['an object that goes while the list is sent', ['a:1', 'b:2'], ['a:1', '-a:5', 'b:2'], ['DELETED a:5']],
  ['an object that goes before it was listed', ['a:1'], ['-a:5'], ['DELETED a:5']],
  [
    'an object that comes and goes while the list is sent',
    [],
    ['a:4', '-a:5', 'a:6:new'],
    ['ADDED a:4', 'DELETED a:5', 'ADDED a:6:new'],
  ],
  ['the end of an object of which nothing was known', [], ['-a:5'], []],
  [
    'versions that are no numbers are newer when they differ',
    ['a:x', 'b:9'],
    ['a:y', 'b:z'],
    ['MODIFIED a:y', 'MODIFIED b:z'],
  ],
])('%s', (_, known, listed, expected) => {
  expect(differencesOf(known, listed)).toEqual(expected)
})

test('a deletion that only a list shows names the object, and of a slice its Service and family', () => {
  const differences = createListDifferences(knowing([object('a:1')]))
  expect(differences.finish()).toEqual([
    {
      type: 'DELETED',
      isBare: true,
      object: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'a', namespace: 'shop', resourceVersion: '1', uid: 'a' },
      },
    },
  ])
  expect(differences.counts).toEqual({ wentBack: 0, listed: 0, added: 0, modified: 0, deleted: 1, replaced: 0 })
  const [deletion] = createListDifferences(
    knowing([slice({ name: 'a-1', service: 'a', endpoints: ['10.0.0.1'], uid: 'u', resourceVersion: '2' })]),
  ).finish()
  expect(deletion?.object).toEqual({
    addressType: 'IPv4',
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      labels: { 'kubernetes.io/service-name': 'a' },
      name: 'a-1',
      namespace: 'shop',
      resourceVersion: '2',
      uid: 'u',
    },
  })
})

describe('what is known', () => {
  test('is what a log held, and over it what was said since', () => {
    const known = knowing(['a:1', 'b:2'].map(object))
    known.learn({ type: 'ADDED', object: object('c:3') })
    known.learn({ type: 'MODIFIED', object: object('b:4') })
    known.learn({ type: 'DELETED', object: object('a:5') })
    expect([...known.keys()].map((key) => `${key}:${known.get(key)?.resourceVersion}`)).toEqual([
      'shop/b:4',
      'shop/c:3',
    ])
    expect(known.size).toBe(2)
  })

  test('an object that came again under its old name is there', () => {
    const known = knowing([object('a:1')])
    known.learn({ type: 'DELETED', object: object('a:5') })
    known.learn({ type: 'ADDED', object: object('a:6:new') })
    expect(known.get('shop/a')?.uid).toBe('new')
    known.learn({ type: 'DELETED', object: object('a:7:new') })
    expect(known.get('shop/a')).toBeUndefined()
  })

  test('an event is stale that says the same or less of the same object', () => {
    const recent = knowing([])
    recent.learn({ type: 'MODIFIED', object: object('a:10') })
    const stale = ['a:9', 'a:10', 'a:11', 'a:9:new', 'b:1', 'a:opaque'].filter((text) =>
      recent.isStale({ type: 'MODIFIED', object: object(text) }),
    )
    expect(stale).toEqual(['a:9', 'a:10'])
    expect(recent.isStale({ type: 'DELETED', object: object('a:10') })).toBe(false)
    recent.learn({ type: 'DELETED', object: object('a:12') })
    expect(recent.isStale({ type: 'MODIFIED', object: object('a:11') })).toBe(true)
    expect(recent.isStale({ type: 'DELETED', object: object('a:12') })).toBe(true)
  })
})
