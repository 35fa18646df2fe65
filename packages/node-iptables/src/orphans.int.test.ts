import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'
import { endOrphans } from './orphans.js'

/** A process that starts others by `runProcess`, and their numbers: a shell, and what that has started. */
async function parent() {
  const script = `
    import { runProcess } from ${JSON.stringify(new URL('../dist/run-process.js', import.meta.url).href)}
    let text = ''
    await runProcess({
      argv: ['sh', '-c', 'sleep 1000 & echo $$ $!; wait'],
      onOutput: (piece) => { text += piece; if (text.includes('\\n')) console.log(text.trim()) },
    })
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return { child, children: line.split(' ').map(Number) }
}

const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

it('ends what a killed process has started, and what that has started, and nothing of a living one', async () => {
  const [killed, living] = await Promise.all([parent(), parent()])
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  expect(killed.children.map(isThere)).toEqual([true, true])
  try {
    const ended = (await endOrphans()).filter(({ pid }) => killed.children.includes(pid))
    expect(new Set(ended.map(({ pid }) => pid))).toEqual(new Set(killed.children))
    expect(ended.every((orphan) => orphan.ended)).toBe(true)
    expect(ended.map(({ name }) => name).toSorted()).toEqual(['sh', 'sleep'])
    expect(living.children.map(isThere)).toEqual([true, true])
    const all = [...killed.children, ...living.children]
    expect((await endOrphans()).filter(({ pid }) => all.includes(pid))).toEqual([])
  } finally {
    for (const pid of living.children) process.kill(pid, 'SIGKILL')
    living.child.kill('SIGKILL')
  }
})
