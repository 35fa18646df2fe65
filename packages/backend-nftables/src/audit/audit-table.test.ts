import { describe, expect, it } from 'vitest'
import type { AuditFinding, JsonObject } from '@pointsman/core'
import { loadedFrom } from '../loaded-table.js'
import { KUBE_PROXY } from '../layout/kube-proxy.js'
import { listedObjects } from '../table/read-listing.js'
import { GOLDEN_CASES, readGolden } from '../test-support/goldens.js'
import { auditTable, toDo } from './audit-table.js'

const SCENARIO = 'external-traffic-policy-local'

/** The audit of a recorded IPv4 table after a change. */
function auditOf(
  change: (objects: readonly JsonObject[]) => readonly JsonObject[],
  scenario = SCENARIO,
): readonly AuditFinding[] {
  const { state, config, listing } = readGolden(scenario)
  const objects = change(listedObjects(listing.IPv4))
  const rules = loadedFrom(objects, { table: KUBE_PROXY.table('IPv4'), family: 'IPv4' })
  return auditTable(rules, { state, config }, { family: 'IPv4' })
}

const told = (findings: readonly AuditFinding[]): readonly string[] =>
  findings.map(({ type, chain, owner = '-', expected, found }) =>
    [type, chain, owner, ...[expected, found].map((items) => items?.map(({ text }) => text).join(' | ') ?? '')].join(
      '; ',
    ),
  )

type Body = Record<string, JsonObject>

const without = (accepts: (body: Body) => boolean) => (objects: readonly JsonObject[]) =>
  objects.filter((object) => !accepts(object as Body))

describe('an audit of a table', () => {
  it.each(GOLDEN_CASES)('finds nothing in what a real kube-proxy wrote: %s, %s', (scenario, family) => {
    const { state, config, listing } = readGolden(scenario)
    const rules = loadedFrom(listedObjects(listing[family]), { table: KUBE_PROXY.table(family), family })
    expect(told(auditTable(rules, { state, config }, { family }))).toEqual([])
  })

  it.each<[string, (objects: readonly JsonObject[]) => readonly JsonObject[], readonly string[]]>([
    ['a table that is gone', () => [], ['NO_TABLE; ; -; ; ']],
    [
      'a rule that is gone',
      without(({ rule }) => rule?.['chain'] === 'nat-output'),
      ['MISSING_RULE; nat-output; -; jump services; '],
    ],
    [
      'a chain of a service port that is gone',
      without(({ rule, chain }) =>
        [rule?.['chain'], chain?.['name']].includes('local-4Z6N3DUC-default/local/tcp/http'),
      ),
      [
        'MISSING_CHAIN; local-4Z6N3DUC-default/local/tcp/http; default/local:http/TCP/IPv4; meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.1.41 . 8080, 1 : 10.244.1.43 . 8080 }; ',
      ],
    ],
    [
      'an element that is gone, and one that leads elsewhere',
      (objects) =>
        objects.map((object) => {
          const { map } = object as Body
          if (map?.['name'] !== 'service-nodeports') return object
          return { map: { ...map, elem: [[{ concat: ['tcp', 30900] }, { goto: { target: 'reject-chain' } }]] } }
        }),
      [
        'CHANGED_ELEMENT; service-nodeports; default/local:http/TCP/IPv4; tcp . 30900 : goto external-4Z6N3DUC-default/local/tcp/http; tcp . 30900 : goto reject-chain',
        'MISSING_ELEMENT; service-nodeports; default/nolocal:http/TCP/IPv4; tcp . 30901 : goto external-TU6EWRMO-default/nolocal/tcp/http; ',
      ],
    ],
    [
      'an element of a service that is gone',
      (objects) =>
        objects.map((object) => {
          const { set } = object as Body
          return set?.['name'] === 'cluster-ips'
            ? { set: { ...set, elem: [...(set['elem'] as string[]), '10.96.7.7'] } }
            : object
        }),
      ['LEFT_OVER_ELEMENT; cluster-ips; -; ; 10.96.7.7'],
    ],
    [
      'a base chain of another priority',
      (objects) =>
        objects.map((object) => {
          const { chain } = object as Body
          return chain?.['name'] === 'nat-output' ? { chain: { ...chain, prio: 7 } } : object
        }),
      [
        'CHANGED_CHAIN; nat-output; -; chain { type nat hook output priority -100 ; }; chain { type nat hook output priority 7 ; }',
      ],
    ],
    [
      'a rule of another program',
      (objects) => [
        ...objects,
        {
          rule: {
            family: 'ip',
            table: 'kube-proxy',
            chain: 'services',
            expr: [{ counter: { packets: 1, bytes: 2 } }, { drop: null }],
          },
        },
      ],
      ['FOREIGN_RULE; services; -; ; counter drop'],
    ],
    [
      'rules in another order',
      (objects) => {
        const isMasquerading = ({ rule }: Body): boolean => rule?.['chain'] === 'masquerading'
        const rules = objects.filter((object) => isMasquerading(object as Body))
        return [...objects.filter((object) => !isMasquerading(object as Body)), ...rules.toReversed()]
      },
      [expect.stringMatching(/^OUT_OF_ORDER; masquerading; -; /) as string],
    ],
    [
      'a chain of a service port that is gone',
      (objects) => [
        ...objects,
        { chain: { family: 'ip', table: 'kube-proxy', name: 'service-ABCDEFGH-default/gone/tcp/http' } },
        { chain: { family: 'ip', table: 'kube-proxy', name: 'of-somebody-else' } },
      ],
      ['LEFT_OVER_CHAIN; service-ABCDEFGH-default/gone/tcp/http; -; ; '],
    ],
    [
      'the table of an older release',
      (objects) => [...objects, { chain: { family: 'ip', table: 'kube-proxy', name: 'mark-for-masquerade' } }],
      ['OTHER_RELEASE; ; -; ; '],
    ],
  ])('finds %s', (_, change, expected) => {
    const findings = auditOf(change)
    expect(told(findings)).toEqual(expected)
    for (const finding of findings) expect(toDo(finding)).toMatch(/\w/)
  })

  it('finds a set whose clients are remembered for another time', () => {
    const findings = auditOf(
      (objects) =>
        objects.map((object) => {
          const { set } = object as Body
          return set?.['timeout'] === 180 ? { set: { ...set, timeout: 10_800 } } : object
        }),
      'session-affinity',
    )
    expect(findings.map(({ type }) => type)).toEqual(['CHANGED_SET', 'CHANGED_SET', 'CHANGED_SET'])
  })

  it('does not mind how nft spells what it lists', () => {
    const spelt = (objects: readonly JsonObject[]): readonly JsonObject[] =>
      JSON.parse(
        JSON.stringify(objects)
          .replaceAll('"flags":"fully-random"', '"flags":["fully-random"]')
          .replaceAll(/"reject":\{[^}]*\}/g, '"reject":null')
          .replaceAll('"dnat":{"family":"ip",', '"dnat":{'),
      ) as readonly JsonObject[]
    expect(auditOf(spelt)).toEqual([])
  })
})
