import { DEFAULT_AGENT_CONFIG, type LoggingConfig } from './agent-config.js'
import type { ConfigFields } from './config-fields.js'
import { readDuration } from './read-duration.js'

/** `logging` of a KubeProxyConfiguration: the LoggingConfiguration of Kubernetes' components. */
export function readLogging(logging: ConfigFields): LoggingConfig {
  const fallback = DEFAULT_AGENT_CONFIG.logging
  const format = logging.text('format') ?? ''
  if (format !== '' && format !== 'text' && format !== 'json') {
    logging.reject('format', `must be text or json, and is ${JSON.stringify(format)}`)
  }
  const verbosity = logging.integer('verbosity') ?? fallback.verbosity
  if (verbosity < 0) logging.reject('verbosity', `must not be negative, and is ${verbosity}`)
  // A number is one of nanoseconds.
  if (typeof logging.value('flushFrequency') !== 'number') readDuration(logging, 'flushFrequency')
  return { format: format === 'json' ? 'json' : fallback.format, verbosity: Math.max(0, verbosity) }
}
