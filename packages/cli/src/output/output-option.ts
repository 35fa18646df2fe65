import { Option } from 'commander'
import type { Format } from './json.js'

/** `-o`, with the formats that a command has; the first is the default. Shells complete them. */
export function outputOption(formats: readonly Format[]): Option {
  return new Option('-o, --output <format>', 'output format').choices(formats).default(formats[0])
}
