import {
  assertNever,
  type EngineReport,
  escapeControls,
  heldPortKey,
  messageOf,
  parseServicePortName,
  type ServiceName,
} from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import type { AgentEvent } from '../agent-event.js'
import { failureText, type HeldPortsReport, portText } from '../held-ports.js'
import { driftText } from '../keep-in-force.js'
import { damageText, rightText } from '../observe/observed-lines.js'
import type { Observation } from '../observe/observe-rules.js'

/** What a Kubernetes Event is to say, before it has a name and a count. */
export interface EventNote {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  /** What was being done. */
  readonly action: string
  /** Absent: the Node. */
  readonly service?: ServiceName
  /** At most 1024 bytes; empty: the reason says it all. */
  readonly note: string
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  /** Notes of one reason about different things are different Events. Default: they are one. */
  readonly about?: string
}

/** Reasons of Events. `Starting` and `FailedTo...` are kube-proxy's; a reason is a contract: reasons are added, not renamed. */
export const EVENT_REASONS = {
  Starting: 'the agent programs rules from now on, or compares them (`--observe`)',
  FailedToStartProxierHealthcheck: 'the health port cannot be had, and `bindAddressHardFail` ends the agent',
  FailedToStartMetricServer: 'the metrics port cannot be had, and `bindAddressHardFail` ends the agent',
  FailedToStartServiceHealthcheck: 'a health-check node port cannot be opened; about the Service',
  RulesRepaired: 'another program changed rules of the proxy, and they have been restored',
  SyncFailed: 'rules cannot be written',
  SyncSucceeded: 'rules are written again',
  RulesRefused: 'the rules of a service port are refused, its previous ones stay; about the Service',
  PortTaken: 'a node port, or an external IP of this machine, cannot be held open',
  PortHeld: 'a port that could not be held open is held now',
  RulesWrong: 'observer: rules of the service proxy are what no state of the cluster explains',
  RulesRight: 'observer: the rules are those of a known state again',
  RulesBehind: 'observer: the service proxy has not brought a change into force in time',
  RulesCaughtUp: 'observer: the service proxy has caught up',
} as const

type EventReason = keyof typeof EVENT_REASONS

interface NoteFields extends Omit<EventNote, 'reason' | 'type' | 'note'> {
  readonly note?: string
}

/** What of an agent's life becomes Events: once when something begins and once when it is over; what happens again each time. */
export function createEventNotes({
  nodeName,
  observe,
}: {
  readonly nodeName: string
  readonly observe: boolean
}): (event: AgentEvent) => readonly EventNote[] {
  let isFailing = false
  let observed: Observation | undefined

  const engineNotes = (report: EngineReport): readonly EventNote[] => {
    const { endedAt: at } = report
    const action = 'SyncRules'
    if (report.type === 'failed') {
      isFailing = true
      return [warning('SyncFailed', { action, at, note: `sync failed: ${messageOf(report.error)}` })]
    }
    const refused = report.refusals.begun.slice(0, MAX_EACH).map(({ owner, error }) =>
      warning('RulesRefused', {
        action,
        at,
        service: parseServicePortName(owner).service,
        about: owner,
        note: `node ${nodeName}: rules of ${owner} are refused, and its previous ones stay in place: ${error.message}`,
      }),
    )
    const over = isFailing ? [normal('SyncSucceeded', { action, at, note: `synced up to seq ${report.toSeq}` })] : []
    isFailing = false
    return [...over, ...refused]
  }

  const observedNotes = (now: Observation): readonly EventNote[] => {
    const { at, behind, damage } = now
    const action = 'CompareRules'
    const before = observed
    observed = now
    const notes: EventNote[] = []
    if (damage !== undefined && before?.damage === undefined)
      notes.push(warning('RulesWrong', { action, at, note: damageText(damage) }))
    if (damage === undefined && before?.damage !== undefined)
      notes.push(normal('RulesRight', { action, at, note: rightText(before.damage, at) }))
    if (behind?.late === true && before?.behind?.late !== true)
      notes.push(
        warning('RulesBehind', {
          action,
          at,
          note: `the service proxy is behind since ${new Date(behind.since).toISOString()}: seq ${behind.seq} is not in the rules`,
        }),
      )
    if (behind?.late !== true && before?.behind?.late === true)
      notes.push(normal('RulesCaughtUp', { action, at, note: `rules in force as of seq ${now.inForce ?? ''}` }))
    return notes
  }

  return (event) => {
    switch (event.type) {
      case 'opened':
        return [normal('Starting', { action: observe ? 'StartObserving' : 'StartKubeProxy', at: event.at })]
      case 'unserved':
        return [unservedNote(event, nodeName)]
      case 'engine':
        return engineNotes(event.report)
      case 'drift':
        return event.drifts.map((drift) =>
          warning('RulesRepaired', {
            action: 'RepairRules',
            at: event.at,
            about: drift.family,
            note: driftText(drift, { by: event.by ?? [] }),
          }),
        )
      case 'ports':
        return portNotes(event.report)
      case 'observed':
        return observedNotes(event.observation)
      case 'start':
      case 'confirmed':
      case 'event':
      case 'family':
      case 'conntrack':
      case 'watch':
      case 'log':
      case 'listening':
      case 'unavailable':
      case 'unusable':
      case 'request':
      case 'probe':
        return []
      default:
        return assertNever(event)
    }
  }
}

function unservedNote({ port, error, at }: Extract<AgentEvent, { type: 'unserved' }>, nodeName: string): EventNote {
  switch (port.type) {
    case 'health':
      return warning('FailedToStartProxierHealthcheck', { action: 'StartKubeProxy', at, note: error })
    case 'metrics':
      return warning('FailedToStartMetricServer', { action: 'StartKubeProxy', at, note: error })
    case 'service':
      return warning('FailedToStartServiceHealthcheck', {
        action: 'Listen',
        at,
        service: port.service,
        about: String(port.port),
        note: `node ${nodeName} failed to start healthcheck "${port.service}" on port ${port.port}: ${error}`,
      })
  }
}

function portNotes({ at, held, begun, ended }: HeldPortsReport): readonly EventNote[] {
  const action = 'HoldPort'
  const now = new Set(held.map(heldPortKey))
  const more = begun.length - MAX_EACH
  return [
    ...begun
      .slice(0, MAX_EACH)
      .map((failure) =>
        warning('PortTaken', { action, at, about: heldPortKey(failure.port), note: failureText(failure) }),
      ),
    ...(more > 0
      ? [warning('PortTaken', { action, at, note: `cannot hold ${countOf(more, 'more port')} open; see /readyz` })]
      : []),
    ...ended
      .filter(({ port }) => now.has(heldPortKey(port)))
      .slice(0, MAX_EACH)
      .map(({ port }) =>
        normal('PortHeld', { action, at, about: heldPortKey(port), note: `holding ${portText(port)} open now` }),
      ),
  ]
}

/** Events of one moment and one reason. */
const MAX_EACH = 5

const noteOf = (type: EventNote['type'], reason: EventReason, { note = '', ...fields }: NoteFields): EventNote => ({
  type,
  reason,
  ...fields,
  note: shortened(escapeControls(note.replaceAll(/\s*\n\s*/g, '; '))),
})
const normal = (reason: EventReason, fields: NoteFields): EventNote => noteOf('Normal', reason, fields)
const warning = (reason: EventReason, fields: NoteFields): EventNote => noteOf('Warning', reason, fields)

/** What an API server takes of a note, by whole characters. */
function shortened(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= MAX_NOTE_BYTES) return text
  const cut = new TextDecoder().decode(bytes.subarray(0, MAX_NOTE_BYTES - ELLIPSIS_BYTES), { stream: true })
  return `${cut}…`
}

const MAX_NOTE_BYTES = 1024
const ELLIPSIS_BYTES = 3
