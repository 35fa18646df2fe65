import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where a restore waits: with nothing done, with its first table done and not the others, or with everything done. */
export type RestoreStep = 'before' | 'half' | 'after'

/** iptables-nft-restore, which can be told to wait at a step of its next restore. */
export interface StoppingRestore {
  /** The folder that comes first in the PATH. */
  readonly path: string
  /** Waits until a restore waits at the step. `half`: one with several tables. */
  readonly stopAt: (step: RestoreStep) => Promise<StoppedRestore>
}

export interface StoppedRestore {
  readonly tables: number
  /** Of the process that waits, and outlives the agent. */
  readonly pid: number
}

export function createStoppingRestore(path: string): StoppingRestore {
  mkdirSync(path)
  const file = (name: string): string => join(path, name)
  writeFileSync(file('iptables-nft-restore'), SCRIPT, { mode: 0o755 })
  return {
    path,
    async stopAt(step) {
      rmSync(file('waiting'), { force: true })
      writeFileSync(file('step.new'), step)
      renameSync(file('step.new'), file('step'))
      const until = performance.now() + PATIENCE_MS
      while (!existsSync(file('waiting'))) {
        if (performance.now() > until) throw new Error(`no restore came to: ${step}`)
        await sleep(5)
      }
      const [pid = 0, tables = 0] = readFileSync(file('waiting'), 'utf8').split(' ').map(Number)
      return { tables, pid }
    },
  }
}

const PATIENCE_MS = 20_000

/** A step is taken away before it is waited at: restores after it go through. */
const SCRIPT = `#!/bin/sh
folder=$(dirname "$0")
# The real one is what comes next in the PATH.
PATH=\${PATH#*:}
real=iptables-nft-restore
[ -e "$folder/step" ] || exec $real "$@"
step=$(cat "$folder/step")
cat > "$folder/input.$$"
tables=$(grep -c '^COMMIT' "$folder/input.$$")
if [ "$step" = half ] && [ "$tables" -lt 2 ]; then exec $real "$@" < "$folder/input.$$"; fi
rm "$folder/step"
case "$step" in
  half) sed '/^COMMIT/q' "$folder/input.$$" | $real "$@" || exit ;;
  after) $real "$@" < "$folder/input.$$" || exit ;;
esac
echo "$$ $tables" > "$folder/waiting.new"
mv "$folder/waiting.new" "$folder/waiting"
exec sleep 600 > /dev/null 2>&1
`
