// node scripts/plant-bugs.mjs
//
// Proves that the tests which keep the invariants would notice: breaks the code in one place, as the tests load it and not on
// disk, and expects the named test to fail. Ends with status 1 when a bug goes unnoticed, or when its place is not found any more.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createVitest } from 'vitest/node'
import { root } from './lib/workspace.mjs'

/** The number is that of the invariant in docs/architecture.md. `code` must stand once in `file`. */
const BUGS = [
  {
    invariant: 1,
    bug: 'a slice whose label moves stays with its old Service',
    file: 'packages/core/src/state/service-changes.ts',
    code: 'replace(owner, name, undefined)',
    instead: 'void owner',
    test: 'packages/core/src/state/state-fold.property.test.ts',
  },
  {
    invariant: 1,
    bug: 'an update of a Service leaves the ports that it has no longer',
    file: 'packages/core/src/state/state-fold.ts',
    code: 'unmergeServicePorts(services, gone)',
    instead: 'void unmergeServicePorts',
    test: 'packages/core/src/state/state-fold.property.test.ts',
  },
  {
    invariant: 1,
    bug: 'time goes on in a replay while a sync is under way',
    file: 'packages/core/src/pipeline/replay.ts',
    code: 'syncing ?? recorder?.settled()',
    instead: 'recorder?.settled()',
    test: 'test/simulation.test.ts',
  },
  {
    invariant: 2,
    bug: 'an event takes effect before the log has it',
    file: 'packages/core/src/pipeline/recorder.ts',
    code: 'if (degraded === undefined) return pump()',
    instead: 'if (degraded === undefined) { release([queued]); return pump() }',
    test: 'packages/core/src/pipeline/recorder.test.ts',
  },
  {
    invariant: 3,
    bug: 'a run that failed is forgotten',
    file: 'packages/core/src/pipeline/sync-engine.ts',
    code: "if ('error' in outcome) return runSubscriber.error",
    instead:
      "if ('error' in outcome) changed = new Set()\n          if ('error' in outcome) return runSubscriber.error",
    test: 'test/simulation.test.ts',
  },
  {
    invariant: 3,
    bug: 'the applied seq moves though the run failed',
    file: 'packages/core/src/pipeline/sync-engine.ts',
    code: "if ('error' in outcome) return runSubscriber.error",
    instead: "firstTaken = undefined\n          if ('error' in outcome) return runSubscriber.error",
    test: 'test/simulation.test.ts',
  },
  {
    invariant: 4,
    bug: 'endpoints are listed in the order in which they came',
    file: 'packages/core/src/model/endpoint.ts',
    code: 'endpoints.toSorted(compareEndpoints)',
    instead: 'endpoints',
    test: 'packages/core/src/model/gather-endpoints.test.ts',
  },
  {
    invariant: 4,
    bug: 'rules stand in the order in which their services came',
    file: 'packages/core/src/state/overlaps.ts',
    code: 'ports.toSorted((a, b) => compare(a.id, b.id))',
    instead: '[...ports]',
    test: 'test/ruleset.test.ts',
  },
  {
    invariant: 5,
    bug: 'two ports of a service that differ in protocol share their chains',
    file: 'packages/backend-iptables/src/ruleset/layout.ts',
    code: 'displayName(port) + port.protocol.toLowerCase()',
    instead: 'displayName(port)',
    test: 'test/ruleset.test.ts',
  },
  {
    invariant: 7,
    bug: 'what refuses a service is taken out of filter before nat has its endpoints',
    file: 'packages/backend-iptables/src/plan/plan-restores.ts',
    code: '  yield* lastOfNat(changes, limits)\n  yield* lastOfFilter(changes, limits)',
    instead: '  yield* lastOfFilter(changes, limits)\n  yield* lastOfNat(changes, limits)',
    test: 'test/small-syncs.test.ts',
  },
  {
    invariant: 7,
    bug: 'a service is taken out of nat before filter refuses it',
    file: 'packages/backend-iptables/src/plan/plan-restores.ts',
    code: '...inserted(change.key, change.inserted)]\n    }),\n  ])\n}\n\n/** Chains of services, a service never cut',
    instead: ']\n    }),\n  ])\n}\n\n/** Chains of services, a service never cut',
    test: 'test/small-syncs.test.ts',
  },
  {
    invariant: 5,
    bug: 'a rule is blamed on the last record of its service, whether that changed it or not',
    file: 'packages/core/src/debug/rule-history.ts',
    code: 'changed: before.item.share === item.share ? before.changed : change',
    instead: 'changed: change',
    test: 'test/blame.test.ts',
  },
  {
    invariant: 5,
    bug: 'a neighbour that comes is taken for a change of the rule itself',
    file: 'packages/core/src/debug/rule-history.ts',
    code: 'return { made: before.made,',
    instead: 'return { made: before.item.share === item.share ? before.made : change,',
    test: 'test/blame.test.ts',
  },
  {
    invariant: 5,
    bug: 'an edit is blamed for what its Service does ever after',
    file: 'packages/core/src/debug/service-edits.ts',
    code: 'return before === undefined || edit.seq > before.seq',
    instead: 'return true',
    test: 'packages/backend-iptables/src/blame.test.ts',
  },
  {
    invariant: 5,
    bug: 'a packet is followed from nothing, as if no object had been there before',
    file: 'packages/cli/src/commands/bisect/answer.ts',
    code: 'if (after > 0) {',
    instead: 'if (after > Number.MAX_SAFE_INTEGER) {',
    test: 'test/bisect.test.ts',
  },
  {
    invariant: 5,
    bug: 'a packet to a node port is no matter of the Service that has it',
    file: 'packages/core/src/debug/follow-fate.ts',
    code: 'front.address === undefined ? front.protocol === protocol && front.port === port : front.address === address',
    instead: 'front.address === address',
    test: 'test/bisect.test.ts',
  },
  {
    invariant: 6,
    bug: 'a partial sync leaves what is gone in force',
    file: 'packages/backend-mock/src/mock-backend.ts',
    code: 'for (const name of names) bytes +=',
    instead: 'for (const name of names) if (state.services.has(name)) bytes +=',
    test: 'packages/backend-mock/src/mock-backend.contract.test.ts',
  },
  {
    invariant: 7,
    bug: 'the fake keeps what came before the line that failed in a table',
    file: 'packages/node-iptables/src/fake/kernel-table.ts',
    code: 'for (const undo of this.#undo.toReversed()) undo()',
    instead: 'void this.#undo',
    test: 'packages/node-iptables/src/table-methods.test.ts',
  },
  {
    invariant: 8,
    bug: 'a restore empties the tables that it should add to',
    file: 'packages/node-iptables/src/create-iptables.ts',
    code: "...(flush ? [] : ['--noflush'])",
    instead: '...(flush ? [] : [])',
    test: 'packages/node-iptables/src/table-methods.test.ts',
  },
  {
    invariant: 1,
    bug: 'what a list lacks after a lost watch is not gone',
    file: 'packages/core/src/io/kubernetes/known-objects.ts',
    code: 'return [...restored, ...gone.map(deletionOf)]',
    instead: 'return [...restored, ...gone.slice(gone.length).map(deletionOf)]',
    test: 'packages/core/src/io/kubernetes/kubernetes-source.property.test.ts',
  },
  {
    invariant: 1,
    bug: 'a version that comes back after a list is taken for a repetition',
    file: 'packages/core/src/io/kubernetes/list.ts',
    code: '{ ...difference, observedAt, isNews: true }',
    instead: '{ ...difference, observedAt }',
    test: 'packages/core/src/io/kubernetes/lists.test.ts',
  },
  {
    invariant: 6,
    bug: 'what was synced while the tables were read is taken for drift',
    file: 'packages/backend-iptables/src/plan/as-found.ts',
    code: 'if (synced.size === 0) return found',
    instead: 'if (synced.size >= 0) return found',
    test: 'test/drift-and-syncs.test.ts',
  },
  {
    invariant: 9,
    bug: 'a service port whose rules are refused is never tried again',
    file: 'packages/core/src/pipeline/refusals.ts',
    code: 'return retryAt <= now + EARLY_MS || retryAt > now + maxRetryMs ? [owner] : []',
    instead: 'return retryAt > now + 10 * maxRetryMs ? [owner] : []',
    test: 'test/sync-engine.test.ts',
  },
  {
    invariant: 9,
    bug: 'a restore that was refused after a COMMIT is taken to have done nothing',
    file: 'packages/backend-iptables/src/adapter/family-sync.ts',
    code: 'tally.committed === committed && names',
    instead: 'names',
    test: 'test/small-syncs.test.ts',
  },
  {
    invariant: 9,
    bug: 'a rule loses its negation when it is read',
    file: 'packages/node-iptables/src/rules/parse-rule.ts',
    code: 'this.#readOption(next, { negated: true })',
    instead: 'this.#readOption(next, { negated: false })',
    test: 'packages/node-iptables/src/rules/parse-rule.test.ts',
  },
  {
    invariant: 9,
    bug: 'the error of a restore names the line after the one that failed',
    file: 'packages/node-iptables/src/iptables-error.ts',
    code: 'line.number === number)',
    instead: 'line.number === number + 1)',
    test: 'packages/node-iptables/src/table-methods.test.ts',
  },
  {
    invariant: 9,
    bug: 'a line of a recording that is no JSON is passed over in silence',
    file: 'packages/core/src/io/files/parse-watch-event.ts',
    code: 'return [bad(`not JSON:',
    instead: 'return value === undefined ? [] : [bad(`not JSON:',
    test: 'packages/core/src/io/files/read-recording.int.test.ts',
  },
  {
    invariant: 10,
    bug: 'a log that cannot be written holds up the events',
    file: 'packages/core/src/pipeline/recorder.ts',
    code: 'release([...batch, ...queue])',
    instead: 'void batch',
    test: 'packages/core/src/pipeline/recorder.test.ts',
  },
  {
    invariant: 10,
    bug: 'what could not be written is never written',
    file: 'packages/core/src/pipeline/recorder.ts',
    code: 'queue = [...batch, ...queue]',
    instead: 'void batch',
    test: 'test/simulation.test.ts',
  },
]

/** The bug that is in the code now. */
let planted

const plantedBug = {
  name: 'planted-bug',
  enforce: 'pre',
  load(id) {
    if (planted === undefined || id !== join(root, planted.file)) return undefined
    return readFileSync(id, 'utf8').replace(planted.code, () => planted.instead)
  },
}

// A bug may end in a property: the first failure tells enough.
process.env.POINTSMAN_FIRST_FAILURE = '1'
const vitest = await startVitest()
try {
  const tests = [...new Set(BUGS.map(({ test }) => test))]
  const failed = await failuresOf(tests)
  if (failed.length > 0) throw new Error(`without a bug some of these tests fail already:\n${failed.join('\n')}`)
  const unnoticed = []
  for (const bug of BUGS) {
    const noticed = await isNoticed(bug)
    console.log(`${noticed ? 'noticed  ' : 'UNNOTICED'}  invariant ${bug.invariant}: ${bug.bug}`)
    if (!noticed) unnoticed.push(bug)
  }
  console.log(`${BUGS.length - unnoticed.length} of ${BUGS.length} planted bugs noticed`)
  process.exitCode = unnoticed.length === 0 ? 0 : 1
} catch (error) {
  console.error(`plant-bugs: ${error.message}`)
  process.exitCode = 1
} finally {
  await vitest.close()
}

/** One for all bugs: what a bug does not touch is transformed once. Each run has workers of its own. */
async function startVitest() {
  // The vite of vitest, which is what reads the configuration otherwise.
  const require = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'))
  const { loadConfigFromFile } = await import(require.resolve('vite'))
  const { config } = await loadConfigFromFile({ command: 'serve', mode: 'test' }, join(root, 'vitest.config.ts'), root)
  const [{ test, resolve }] = config.test.projects
  const options = { ...test, exclude: undefined, isolate: true, bail: 1, maxWorkers: 2, reporters: [{}] }
  return createVitest('test', { config: false, watch: false, root, ...options }, { resolve, plugins: [plantedBug] })
}

async function isNoticed(bug) {
  const path = join(root, bug.file)
  if (readFileSync(path, 'utf8').split(bug.code).length !== 2) {
    throw new Error(`${bug.file} does not hold once: ${bug.code}`)
  }
  planted = bug
  vitest.invalidateFile(path)
  try {
    return (await failuresOf([bug.test])).length > 0
  } finally {
    planted = undefined
    vitest.invalidateFile(path)
  }
}

/** The tests of these files that failed. A file that does not even load proves nothing: a test has to have run. */
async function failuresOf(files) {
  const specifications = await vitest.globTestSpecifications(files.map((file) => join(root, file)))
  const { testModules } = await vitest.runTestSpecifications(specifications)
  const loaded = new Set(testModules.filter((module) => module.errors().length === 0).map(({ moduleId }) => moduleId))
  for (const file of files) {
    if (!loaded.has(join(root, file))) throw new Error(`${file} was not run`)
  }
  return testModules.flatMap((module) =>
    [...module.children.allTests('failed')].map((test) => `${test.fullName}: ${test.result().errors?.[0]?.message}`),
  )
}
