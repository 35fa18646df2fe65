import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { firstValueFrom, VirtualTimeScheduler } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ConfigFileChange, watchConfigFile, type WatchTiming } from './watch-config-file.js'

const TEXT = 'kind: KubeProxyConfiguration\n'
/** What is heard of is told soon; nobody waits for the look now and then. */
const HEARD: WatchTiming = { settleMs: 20, lookMs: 600_000 }

let folder = ''
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'pointsman-config-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const changeOf = async (path: string, timing = HEARD): Promise<ConfigFileChange> =>
  firstValueFrom(watchConfigFile({ path, text: TEXT }, timing))

describe('a configuration file is told of', () => {
  let path = ''
  beforeEach(() => {
    path = join(folder, 'config.conf')
    writeFileSync(path, TEXT)
  })

  /** Writes again and again: a watch begins at some moment of its own. */
  const untilTold = async (
    told: Promise<ConfigFileChange>,
    change: (round: number) => void,
  ): Promise<ConfigFileChange> => {
    let round = 0
    const again = setInterval(() => change((round += 1)), 50)
    try {
      return await told
    } finally {
      clearInterval(again)
    }
  }

  test('that is written', async () => {
    expect(await untilTold(changeOf(path), (round) => writeFileSync(path, `${TEXT}# ${round}\n`))).toEqual({
      type: 'changed',
    })
  })

  test('that another one is renamed over', async () => {
    const replace = (round: number): void => {
      writeFileSync(`${path}.new`, `${TEXT}# ${round}\n`)
      renameSync(`${path}.new`, path)
    }
    expect(await untilTold(changeOf(path), replace)).toEqual({ type: 'changed' })
  })

  test('that is removed', async () => {
    const told = changeOf(path, { settleMs: 20, lookMs: 50 })
    rmSync(path)
    expect(await told).toEqual({ type: 'removed' })
  })

  test('that was changed before the watch began', async () => {
    writeFileSync(path, `${TEXT}# since\n`)
    expect(await changeOf(path)).toEqual({ type: 'changed' })
  })

  test('whose changes the file system does not tell, at the next look', async () => {
    const elsewhere = join(folder, 'elsewhere')
    mkdirSync(elsewhere)
    const linked = join(folder, 'linked.conf')
    symlinkSync(path, linked)
    const told = changeOf(linked, { settleMs: 1, lookMs: 20 })
    writeFileSync(path, `${TEXT}# 1\n`)
    expect(await told).toEqual({ type: 'changed' })
  })

  test('not where it is gone for a moment alone, as while it is replaced', async () => {
    const clock = new VirtualTimeScheduler(undefined, 100)
    rmSync(path)
    const seen: ConfigFileChange[] = []
    const timing = { settleMs: 100, lookMs: 1000, scheduler: clock }
    watchConfigFile({ path, text: TEXT }, timing).subscribe((change) => seen.push(change))
    // The next look, and the second one at what the first has missed.
    await vi.waitFor(() => expect(clock.actions.length).toBeGreaterThanOrEqual(2), { timeout: 20_000 })
    writeFileSync(path, TEXT)
    clock.flush()
    writeFileSync(`${path}.new`, 'changed')
    clock.maxFrames = 1100
    await vi.waitFor(() => {
      clock.flush()
      if (clock.frame >= 1000 && existsSync(`${path}.new`)) renameSync(`${path}.new`, path)
      if (clock.frame >= 1000) clock.maxFrames += 1000
      expect(seen).toEqual([{ type: 'changed' }])
    })
  })

  test('not as long as it is written, touched and replaced with what it held', async () => {
    const other = join(folder, 'other.conf')
    writeFileSync(other, TEXT)
    const seen: ConfigFileChange[] = []
    const watch = watchConfigFile({ path, text: TEXT }, { settleMs: 20, lookMs: 30 }).subscribe((change) =>
      seen.push(change),
    )
    const toldOfOther = changeOf(other, { settleMs: 20, lookMs: 30 })
    for (let round = 0; round < 50; round++) {
      writeFileSync(path, TEXT)
      writeFileSync(`${path}.new`, TEXT)
      renameSync(`${path}.new`, path)
    }
    // Both watch the folder: when this one was told of, the other has been looked at.
    writeFileSync(other, 'changed')
    expect(await toldOfOther).toEqual({ type: 'changed' })
    expect(seen).toEqual([])
    watch.unsubscribe()
  })
})

describe('a ConfigMap volume', () => {
  let path = ''
  let generation = 0

  /** As kubelet's atomic writer does: a new folder, and the link `..data` swapped by renaming. */
  const publish = (text: string): void => {
    const before = join(folder, `..2026_${generation}`)
    generation += 1
    const name = `..2026_${generation}`
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'config.conf'), text)
    symlinkSync(name, join(folder, '..data_tmp'))
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    rmSync(before, { recursive: true, force: true })
  }

  beforeEach(() => {
    publish(TEXT)
    path = join(folder, 'config.conf')
    symlinkSync('..data/config.conf', path)
  })

  test('is told of when its content is swapped, and not when another key of it is', async () => {
    const seen: ConfigFileChange[] = []
    const told = new Promise<void>((resolve) => {
      watchConfigFile({ path, text: TEXT }, HEARD).subscribe((change) => {
        seen.push(change)
        resolve()
      })
    })
    let round = 0
    const swap = setInterval(() => {
      round += 1
      // The first swaps are of other keys: the file's own content stays.
      publish(round < 5 ? TEXT : `${TEXT}# ${round}\n`)
    }, 60)
    await told
    clearInterval(swap)
    expect(seen).toEqual([{ type: 'changed' }])
    expect(round).toBeGreaterThanOrEqual(5)
  })
})
