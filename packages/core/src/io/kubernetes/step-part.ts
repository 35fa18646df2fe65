import type { SourceItem } from '../../ports/live-source.js'
import type { StepEnd } from './kind-machine.js'

/** What a step gives: items, and at last how it ended. */
export type StepPart = SourceItem | { readonly type: 'step-ended'; readonly end: StepEnd }

export const stepEnded = (end: StepEnd): StepPart => ({ type: 'step-ended', end })
