import type { Command } from 'commander'
import type { Context } from '../context.js'
import { logInfoFields, logInfoText } from '../history/log-info-text.js'
import { type InputOptions, openLog, withLogOption } from '../input/open-input.js'
import { formatTime, parseFormat, writeDocument } from '../output/json.js'
import { outputOption } from '../output/output-option.js'
import { withExamples } from '../output/with-examples.js'

interface LogInfoOptions extends Pick<InputOptions, 'log'> {
  readonly output?: string
}

/** `pointsman log info`, below `log`. */
export function registerLogInfo(log: Command, context: Context): void {
  const command = log
    .command('info')
    .summary('what a log holds')
    .description('Shows what a change log holds: its cluster, its span, what was recorded, and what was applied.')
    .addOption(outputOption(['text', 'json']))
    .action((_options: LogInfoOptions, info: Command) => showLogInfo(info.optsWithGlobals<LogInfoOptions>(), context))
  withExamples(withLogOption(command), ['pointsman log info --log shop.db', 'pointsman log info --log shop.db -o json'])
}

function showLogInfo(options: LogInfoOptions, context: Context): void {
  const format = parseFormat(options.output, ['text', 'json'])
  const { path, reader } = openLog(options, context)
  try {
    const info = reader.info()
    if (format === 'text') {
      context.stdout.print(logInfoText({ path, info }, context.style))
      return
    }
    const at = { seq: info.lastSeq, ...(info.lastAt === undefined ? {} : { time: formatTime(info.lastAt) }) }
    writeDocument(context, { kind: 'LogInfo', at, ...logInfoFields({ path, info }) })
  } finally {
    reader.close()
  }
}
