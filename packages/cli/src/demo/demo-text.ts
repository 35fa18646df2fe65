import type { Outage, ReplaySummary } from '@pointsman/core'
import type { ImportTally } from '../import/import-recording.js'
import type { Style } from '../output/colour.js'
import { formatCount, formatDuration } from '../output/duration.js'
import { formatTime } from '../output/json.js'
import { type Moment, momentTable, routeLine } from './demo-view.js'
import { emptyingLine, headline, otherLines, repairLine } from './incident-story.js'

export interface Demo {
  readonly tally: ImportTally
  readonly replayed: Pick<ReplaySummary, 'syncs' | 'failures' | 'state'>
  /** The most important first; empty: nothing broke. */
  readonly outages: readonly Outage[]
  /** Of the first outage: before its cause, and when the endpoints had gone. */
  readonly moments?: { readonly before: Moment; readonly after: Moment }
  /** Commands to go on with. */
  readonly next: readonly string[]
}

/** The story, conclusion first. */
export function demoText(demo: Demo, style: Style): readonly string[] {
  const [outage, ...others] = demo.outages
  const story = outage === undefined ? nothingBroke(demo, style) : incident({ ...demo, outage, others }, style)
  const next = demo.next.map((command, index) => `${style.dim(index === 0 ? 'Next steps' : '          ')}  ${command}`)
  return [...story, '', ...next]
}

function nothingBroke({ replayed, tally }: Demo, style: Style): readonly string[] {
  const count = formatCount(replayed.state.services.size)
  return [
    style.bold('No service lost its endpoints'),
    '',
    style.dim(counted(tally)),
    style.dim(`${count} service ports at the end`),
  ]
}

interface Incident extends Demo {
  readonly outage: Outage
  readonly others: readonly Outage[]
}

function incident({ tally, replayed, outage, others, moments }: Incident, style: Style): readonly string[] {
  const day = formatTime(outage.emptiedBy.observedAt).slice(0, 10)
  const repair = repairLine(outage)
  const also = otherLines(others)
  return [
    style.bold(style.red(headline(outage))),
    '',
    emptyingLine(outage),
    ...(repair === undefined ? [] : [repair]),
    ...(moments === undefined ? [] : tables({ outage, moments }, style)),
    '',
    ...also.slice(0, MOST_OTHERS).map((line) => style.dim(`Also: ${line}`)),
    ...(also.length > MOST_OTHERS ? [style.dim(`and ${also.length - MOST_OTHERS} more services`)] : []),
    style.dim(`${counted(tally)}, times of ${day} in UTC`),
    style.dim(replayedLine(replayed)),
  ]
}

const MOST_OTHERS = 3

function tables(
  { outage, moments }: { readonly outage: Outage; readonly moments: NonNullable<Demo['moments']> },
  style: Style,
): readonly string[] {
  const part = (title: string, moment: Moment): readonly string[] => {
    const route = routeLine(moment, style)
    return [
      '',
      `${style.bold(title)}${style.dim(`, at seq ${moment.seq}`)}`,
      ...momentTable({ moment, service: outage.service, style }),
      ...(route === undefined ? [] : [`  ${route}`]),
    ]
  }
  return [...part('Before', moments.before), ...part('After', moments.after)]
}

function counted({ events, kinds, firstAt, lastAt, estimated }: ImportTally): string {
  const span = firstAt === undefined || lastAt === undefined ? '' : ` in ${formatDuration(lastAt - firstAt)}`
  const counts = Object.entries(kinds).map(([kind, count]) => `${formatCount(count)} of ${kind}s`)
  // kubectl writes no times, and what stands in for them may be far off.
  const guessed = estimated === 0 ? '' : `, ${formatCount(estimated)} with estimated times`
  return `${formatCount(events)} watch events${span}: ${counts.join(', ')}${guessed}`
}

function replayedLine({ syncs, failures, state }: Demo['replayed']): string {
  const failed = failures === 0 ? '' : `, ${formatCount(failures)} failed`
  return `Replayed to the mock backend: ${formatCount(syncs)} syncs${failed}, ${formatCount(state.services.size)} service ports in force at the end`
}
