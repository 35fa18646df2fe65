import { saveLinesOf } from 'node-iptables'
import type { Ruleset } from '../ruleset/ruleset.js'
import { savedTablesOf } from './saved-tables-of.js'

/**
 * The rules as iptables-save would print them in a namespace that has no others, line by line without line ends: sorted,
 * in its spelling, all counters 0. iptables-restore takes it.
 */
export const renderSave = (ruleset: Ruleset): Generator<string, void, undefined> => saveLinesOf(savedTablesOf(ruleset))
