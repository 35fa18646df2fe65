import { configDefaults, defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.js'

/** The unit layer: whatever starts no process, opens no database and makes no network namespace. */
export default mergeConfig(
  config,
  defineConfig({
    test: {
      env: { POINTSMAN_QUICK: '1' },
      exclude: [
        ...configDefaults.exclude,
        '**/*.int.test.ts',
        '**/*.kernel.test.ts',
        'test/{agent,packets,source,cli,conntrack}/**',
      ],
    },
  }),
)
