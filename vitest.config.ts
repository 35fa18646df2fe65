import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`packages/${path}`, import.meta.url))

/** Tests read the sources, so that no build has to come first; those that start the command run what set-up built. */
const resolve = {
  alias: [
    { find: /^@pointsman\/core$/, replacement: source('core/src/index.ts') },
    { find: /^@pointsman\/core\/io$/, replacement: source('core/src/io/index.ts') },
    { find: /^@pointsman\/core\/trace$/, replacement: source('core/src/trace/index.ts') },
    { find: /^@pointsman\/core\/testing$/, replacement: source('core/src/testing/index.ts') },
    { find: /^node-iptables\/fake$/, replacement: source('node-iptables/src/fake/index.ts') },
    { find: /^node-iptables$/, replacement: source('node-iptables/src/index.ts') },
    { find: /^node-netfilter$/, replacement: source('node-netfilter/src/index.ts') },
    { find: /^@pointsman\/backend-iptables$/, replacement: source('backend-iptables/src/index.ts') },
    { find: /^@pointsman\/backend-nftables$/, replacement: source('backend-nftables/src/index.ts') },
    { find: /^@pointsman\/backend-mock$/, replacement: source('backend-mock/src/index.ts') },
  ],
}

/** A test that starts a process, opens a database or makes a network namespace, by its name or its folder. */
const OUTSIDE = ['**/*.int.test.ts', '**/*.kernel.test.ts', 'test/{agent,packets,source,cli,conntrack}/**']

const shared = {
  setupFiles: ['./test/set-up-properties.ts'],
  // A soak has twenty times the runs of each property.
  testTimeout: process.env['POINTSMAN_SOAK'] === '1' ? 1_200_000 : 120_000,
  hookTimeout: 60_000,
  // What is waited for comes when the machine has time for it.
  expect: { poll: { timeout: 20_000 } },
}

const unit = {
  resolve,
  test: {
    ...shared,
    name: 'unit',
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, ...OUTSIDE],
    // These touch nothing outside of themselves: the files of a worker share its modules.
    pool: 'threads' as const,
    isolate: false,
  },
}

const outside = {
  resolve,
  test: {
    ...shared,
    name: 'outside',
    include: OUTSIDE.map((pattern) => (pattern.endsWith('**') ? `${pattern}/*.test.ts` : pattern)),
    globalSetup: ['./test/support/bundle-what-is-built.ts'],
    pool: 'forks' as const,
  },
}

/** Against what scripts/test-installed.mjs has installed, and not otherwise. */
const installed = {
  resolve,
  test: { ...shared, name: 'installed', include: ['test/installed/*.check.ts'], pool: 'forks' as const },
}

export default defineConfig({
  test: {
    projects: process.env['POINTSMAN_IMAGE_ROOT'] === undefined ? [unit, outside] : [installed],
    reporters: ['default', './test/support/counts-reporter.ts'],
    // Most tests wait for processes that they started: a worker for each processor is not too many, though vitest leaves one out.
    maxWorkers: 2,
  },
})
