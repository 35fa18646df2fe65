import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { differenceFromFake } from '../test-support/compare-with-fake.js'
import { enterNamespace, describeKernel } from '../test-support/namespace.js'
import type { Namespace } from '../test-support/namespace.js'
import { runProcess } from '../run-process.js'

const RESTORES = 50
const SOAK_SEEDS = 40
const given = process.env['POINTSMAN_SEED'] ?? ''
const isSoak = process.env['POINTSMAN_SOAK'] === '1'
const seeds = given === '' ? Array.from({ length: isSoak ? SOAK_SEEDS : 2 }, (_, at) => at + 1) : [Number(given)]

describeKernel('random restores end on the fake as they do in the kernel', () => {
  let namespace: Namespace
  beforeEach(async () => {
    namespace = enterNamespace()
    await runProcess({ argv: ['nfacct', 'add', 'known'] })
  })
  afterEach(() => namespace.remove())

  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    describe.each(['IPv4', 'IPv6'] as const)('%s', (family) => {
      test.each(seeds)('seed %i', async (seed) => {
        expect(await differenceFromFake({ variant, family, seed, count: RESTORES })).toBeUndefined()
      })
    })
  })
})
