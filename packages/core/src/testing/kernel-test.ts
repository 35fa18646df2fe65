import { beforeAll, describe } from 'vitest'

/**
 * A suite that needs more than a process has: root, a namespace, a kernel module. `missing` says what is not there;
 * undefined: nothing. Then the suite is skipped with that line, and with POINTSMAN_REQUIRE_KERNEL=1 it fails instead, so
 * that a machine that is meant to run it cannot pass it over.
 */
export function describeKernel(name: string, missing: string | undefined, suite: () => void): void {
  const required = process.env['POINTSMAN_REQUIRE_KERNEL'] === '1'
  const reason = missing === undefined ? '' : ` (skipped: ${missing})`
  describe.skipIf(missing !== undefined && !required)(`${name}${reason}`, () => {
    beforeAll(() => {
      if (missing !== undefined) throw new Error(`POINTSMAN_REQUIRE_KERNEL=1, and ${missing}`)
    })
    suite()
  })
}
