import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`packages/${path}`, import.meta.url))

/** Tests read the sources, so that no build has to come first; those that start the command run what set-up built. */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@pointsman\/core$/, replacement: source('core/src/index.ts') },
      { find: /^@pointsman\/core\/io$/, replacement: source('core/src/io/index.ts') },
      { find: /^@pointsman\/core\/testing$/, replacement: source('core/src/testing/index.ts') },
      { find: /^node-iptables\/fake$/, replacement: source('node-iptables/src/fake/index.ts') },
      { find: /^node-iptables$/, replacement: source('node-iptables/src/index.ts') },
      { find: /^node-netfilter$/, replacement: source('node-netfilter/src/index.ts') },
      { find: /^@pointsman\/backend-iptables$/, replacement: source('backend-iptables/src/index.ts') },
      { find: /^@pointsman\/backend-mock$/, replacement: source('backend-mock/src/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['./test/support/bundle-what-is-built.ts'],
    setupFiles: ['./test/set-up-properties.ts'],
    reporters: ['default', './test/support/counts-reporter.ts'],
    // Most tests wait for processes that they started: a worker for each processor is not too many, though vitest leaves one out.
    maxWorkers: 2,
    // A soak has twenty times the runs of each property.
    testTimeout: process.env['POINTSMAN_SOAK'] === '1' ? 1_200_000 : 60_000,
    hookTimeout: 60_000,
  },
})
