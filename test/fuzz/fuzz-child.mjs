// Runs command lines of the built command in this process, one after another, for the fuzzer: the parent sends
// { folder, argv, stdin } and gets what was wrong. What hangs or grows is the parent's to end.
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { DATAPLANES } from '../../packages/cli/dist/dataplanes.js'
import { run } from '../../packages/cli/dist/main.js'
import { styleFor } from '../../packages/cli/dist/output/terminal.js'

/** Controls but line feed and tab; marks that turn the direction of a text; separators of lines. */
const RAW_CONTROL = /(?![\n\t])\p{Cc}|[\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/u
const STACK =
  /this is a bug|^\s+at \S.*:\d+:\d+\)?$|\b(?:RangeError|TypeError|ReferenceError|SyntaxError):|Cannot read propert|is not iterable|is not a function|Maximum call stack|Invalid string length|\bundefined\b.*\bundefined\b/m
const KEPT_CHARS = 1 << 20

let uncaught
process.on('uncaughtException', (error) => (uncaught ??= error))
process.on('unhandledRejection', (error) => (uncaught ??= error))

process.on('disconnect', () => process.exit())
process.on('message', (step) => void answer(step))

async function answer({ folder, argv, stdin }) {
  process.chdir(folder)
  uncaught = undefined
  const [stdout, stderr] = [sink(), sink()]
  const style = styleFor({ env: {}, isTTY: false })
  const interrupt = new AbortController()
  let status
  try {
    status = await run(argv, {
      stdin: Readable.from(stdin === undefined ? [] : [readFileSync(stdin)]),
      stdout,
      stderr,
      env: {},
      now: Date.now,
      interrupted: interrupt.signal,
      style,
      errorStyle: style,
      dataplanes: DATAPLANES,
    })
  } catch (error) {
    uncaught ??= error
  }
  // What is thrown by something that nobody waits for comes a moment later.
  await new Promise((resolve) => setImmediate(resolve))
  process.send({
    problem: problemOf({ argv, status, stdout, stderr }),
    status,
    stdout: stdout.head(),
    stderr: stderr.head(),
  })
}

function problemOf({ argv, status, stdout, stderr }) {
  if (uncaught !== undefined) return `uncaught: ${uncaught?.stack ?? uncaught}`
  if (![0, 1, 2, 3].includes(status)) return `exit status ${status}`
  const trace = STACK.exec(stderr.text())
  if (trace !== null) return `stack trace or engine's words: ${stderr.text().slice(trace.index, trace.index + 1500)}`
  for (const [name, { raw }] of Object.entries({ stdout, stderr }))
    if (raw() !== undefined) return `raw control in ${name}: ${raw()}`
  if (status >= 2 && stderr.text() === '') return `exit status ${status} without a word`
  const format = argv[argv.indexOf('-o') + 1]
  if (status < 2 && stdout.isWhole()) {
    try {
      if (argv.includes('-o') && format === 'json' && stdout.text() !== '') JSON.parse(stdout.text())
      if (argv.includes('-o') && format === 'jsonl')
        for (const line of stdout.text().split('\n')) if (line !== '') JSON.parse(line)
    } catch (error) {
      return `-o ${format} printed what is not JSON: ${error.message}`
    }
  }
  return undefined
}

function sink() {
  let text = ''
  let whole = true
  let raw
  return {
    write(part) {
      const found = RAW_CONTROL.exec(part)
      if (found !== null)
        raw ??= JSON.stringify(part.slice(Math.max(0, found.index - 60), found.index + 60)).replaceAll(
          /[\u007F-\uFFFF]/g,
          (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
        )
      if (text.length + part.length <= KEPT_CHARS) text += part
      else whole = false
      return true
    },
    text: () => text,
    head: () => text.slice(0, 2000),
    isWhole: () => whole,
    raw: () => raw,
  }
}
