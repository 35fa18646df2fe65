import {
  type FamilyDrift,
  type HeldPort,
  type Refusal,
  seq,
  type ServiceName,
  type ServicePortName,
} from '@pointsman/core'
import { expect, test } from 'vitest'
import type { AgentEvent } from '../agent-event.js'
import { failed, synced } from '../health/test-support/agent-events.js'
import type { Observation } from '../observe/observe-rules.js'
import { createEventNotes } from './event-notes.js'

const said = (events: readonly AgentEvent[], observe = false): readonly string[] => {
  const notesOf = createEventNotes({ nodeName: 'node-a', observe })
  return events
    .flatMap(notesOf)
    .map(({ type, reason, action, service = 'Node', note }) => `${type} ${reason} ${action} ${service}: ${note}`)
}

const run = { toSeq: 7, startedAt: 0, endedAt: 10 }

test('the start is kube-proxy its own; an observer only observes', () => {
  expect(said([{ type: 'opened', at: 0 }])).toEqual(['Normal Starting StartKubeProxy Node: '])
  expect(said([{ type: 'opened', at: 0 }], true)).toEqual(['Normal Starting StartObserving Node: '])
})

test('ports that cannot be had are as kube-proxy says it', () => {
  const at = 0
  expect(
    said([
      { type: 'unserved', port: { type: 'health' }, error: 'cannot serve health', at },
      { type: 'unserved', port: { type: 'metrics' }, error: 'cannot serve metrics', at },
      {
        type: 'unserved',
        port: { type: 'service', service: 'shop/web' as ServiceName, port: 30999 },
        error: 'EADDRINUSE',
        at,
      },
    ]),
  ).toEqual([
    'Warning FailedToStartProxierHealthcheck StartKubeProxy Node: cannot serve health',
    'Warning FailedToStartMetricServer StartKubeProxy Node: cannot serve metrics',
    'Warning FailedToStartServiceHealthcheck Listen shop/web: node node-a failed to start healthcheck "shop/web" on port 30999: EADDRINUSE',
  ])
})

test('syncs that fail, and the first that succeeds again', () => {
  const refusal: Refusal = {
    owner: 'shop/web:http/TCP/IPv4' as ServicePortName,
    error: new Error('line 3 failed'),
    since: 0,
    attempts: 1,
    retryAt: 1000,
  } as unknown as Refusal
  const refusing = synced(run)
  const begun = {
    ...refusing,
    ...(refusing.type === 'engine' &&
      refusing.report.type === 'synced' && {
        report: { ...refusing.report, refusals: { current: [refusal], begun: [refusal], ended: [] } },
      }),
  } as AgentEvent
  expect(said([failed(run), failed(run), synced(run), synced(run), begun])).toEqual([
    'Warning SyncFailed SyncRules Node: sync failed: the tables are locked',
    'Warning SyncFailed SyncRules Node: sync failed: the tables are locked',
    'Normal SyncSucceeded SyncRules Node: synced up to seq 7',
    'Warning RulesRefused SyncRules shop/web: node node-a: rules of shop/web:http/TCP/IPv4 are refused, and its previous ones stay in place: line 3 failed',
  ])
})

test('repaired drift names chains and who did it; a look that found none is nothing', () => {
  const drift = { family: 'IPv4', chains: ['KUBE-SERVICES'], bytes: 10 } as FamilyDrift
  expect(
    said([
      { type: 'drift', drifts: [], at: 0 },
      { type: 'drift', drifts: [drift], at: 0, by: [{ pid: 7, command: 'iptables' }] },
    ]),
  ).toEqual([
    'Warning RulesRepaired RepairRules Node: IPv4 rules were modified externally and have been restored: chains KUBE-SERVICES; modified by: iptables (process 7)',
  ])
})

test('ports that others have, each by itself, the first few', () => {
  const failure = (port: number) => ({
    port: { type: 'nodePort', family: 'IPv4', protocol: 'TCP', address: '', port, owners: [] } as unknown as HeldPort,
    since: 0,
    error: Object.assign(new Error('in use'), { code: 'EADDRINUSE' }),
    isServed: true,
  })
  const all = Array.from({ length: 8 }, (_, index) => failure(30000 + index))
  const [first] = all
  const lines = said([
    { type: 'ports', report: { at: 0, held: [], failed: all, begun: all, ended: [] } },
    {
      type: 'ports',
      report: { at: 0, held: first === undefined ? [] : [first.port], failed: [], begun: [], ended: all },
    },
  ])
  expect(lines).toHaveLength(7)
  expect(lines[0]).toMatch(/^Warning PortTaken HoldPort Node: cannot hold node port 0\.0\.0\.0:30000\/TCP .* open:/)
  expect(lines[5]).toBe('Warning PortTaken HoldPort Node: cannot hold 3 more ports open; see /readyz')
  expect(lines[6]).toMatch(/^Normal PortHeld HoldPort Node: holding node port 0\.0\.0\.0:30000\/TCP/)
})

test('what an observer finds, once when it begins and once when it is over', () => {
  const look = (rest: Partial<Observation>): AgentEvent => ({
    type: 'observed',
    observation: { at: 60_000, inForce: seq(9), arrived: [], ...rest },
  })
  const damage = {
    since: 50_000,
    findingCount: 1,
    texts: ['IPv4 nat KUBE-SERVICES: 1 missing rule'],
    servicePorts: [],
    by: [],
  }
  const behind = { seq: seq(9), since: 30_000, forMs: 30_000, late: true }
  expect(
    said([look({ damage }), look({ damage }), look({}), look({ behind }), look({ behind }), look({})], true),
  ).toEqual([
    'Warning RulesWrong CompareRules Node: the rules are wrong: IPv4 nat KUBE-SERVICES: 1 missing rule',
    'Normal RulesRight CompareRules Node: the rules are right again, after 10.0 s',
    'Warning RulesBehind CompareRules Node: the service proxy is behind since 1970-01-01T00:00:30.000Z: seq 9 is not in the rules',
    'Normal RulesCaughtUp CompareRules Node: rules in force as of seq 9',
  ])
})

test('a note has at most 1024 bytes, whole characters, one line, and no control characters', () => {
  const [line = ''] = said([failed(run, new Error(`a\n  b\u001B[31m${'é'.repeat(2000)}`))])
  const note = line.replace(/^.*? Node: /, '')
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024)
  expect(note).toMatch(/^sync failed: a; b\\u001b\[31mé+…$/i)
})
