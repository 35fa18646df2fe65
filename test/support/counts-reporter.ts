import { writeFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * With POINTSMAN_TEST_COUNTS=FILE (the whole run, as CI does it) writes `N passed, N failed, N skipped` into the file,
 * and fails the run for a test that was skipped without leave: only `*.kernel.test.ts` may, and not where
 * POINTSMAN_REQUIRE_KERNEL=1 says that this machine has what those need.
 */
export default class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const file = process.env['POINTSMAN_TEST_COUNTS']
    if (file === undefined || file === '') return
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const broken = modules.filter((module) => module.errors().length > 0).length + unhandled.length
    const count = (state: string) => tests.filter((test) => test.result().state === state).length
    writeFileSync(file, `${count('passed')} passed, ${count('failed') + broken} failed, ${count('skipped')} skipped\n`)
    for (const test of tests.filter(isSkippedWithoutLeave)) {
      process.exitCode = 1
      process.stderr.write(`skipped without leave: ${test.module.moduleId} > ${test.fullName}\n`)
    }
  }
}

function isSkippedWithoutLeave(test: TestCase): boolean {
  if (test.result().state !== 'skipped') return false
  return process.env['POINTSMAN_REQUIRE_KERNEL'] === '1' || !test.module.moduleId.endsWith('.kernel.test.ts')
}
