import { existsSync } from 'node:fs'

/** What set-up built: a thread runs without a compiler. */
export const BUILT_THREAD = new URL('../../../../dist/io/sqlite/log-thread.js', import.meta.url)

if (!existsSync(BUILT_THREAD))
  throw new Error('run `npm run check` or `npm test` first: this test runs what they build')
