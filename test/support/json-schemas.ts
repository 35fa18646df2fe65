import type { TSchema } from 'typebox'
import { Errors } from 'typebox/value'
import { applySummary } from '../../packages/cli/src/commands/apply/report.js'
import { auditReport } from '../../packages/cli/src/commands/audit/schema.js'
import { cleanupSummary } from '../../packages/cli/src/commands/cleanup/command.js'
import { bisection, bisectionOfNodes } from '../../packages/cli/src/commands/bisect/schema.js'
import { blameList } from '../../packages/cli/src/commands/blame/schema.js'
import { diff } from '../../packages/cli/src/commands/diff/schema.js'
import { explanation } from '../../packages/cli/src/commands/explain/schema.js'
import { importSummary } from '../../packages/cli/src/commands/import/report.js'
import { logInfo, recordList } from '../../packages/cli/src/commands/log/schema.js'
import { migration } from '../../packages/cli/src/commands/migrate/schema.js'
import { recordSummary } from '../../packages/cli/src/commands/record/command.js'
import { ruleList } from '../../packages/cli/src/commands/rules/schema.js'
import { serviceList, servicesOfNodes } from '../../packages/cli/src/commands/services/schema.js'
import { replaySummary } from '../../packages/cli/src/commands/replay/report.js'
import { trace, traceOfNodes } from '../../packages/cli/src/commands/trace/schema.js'

/** Each document that `-o json` prints, by its kind. Tests check real output against it, and `docs/json.md` shows it. */
export const JSON_SCHEMAS = {
  ApplySummary: applySummary,
  AuditReport: auditReport,
  Bisection: bisection,
  BisectionOfNodes: bisectionOfNodes,
  BlameList: blameList,
  CleanupSummary: cleanupSummary,
  Diff: diff,
  Explanation: explanation,
  ImportSummary: importSummary,
  LogInfo: logInfo,
  Migration: migration,
  RecordList: recordList,
  RecordSummary: recordSummary,
  ReplaySummary: replaySummary,
  RuleList: ruleList,
  ServiceList: serviceList,
  ServicesOfNodes: servicesOfNodes,
  Trace: trace,
  TraceOfNodes: traceOfNodes,
} as const

/** Where a value is not as its schema: `/items/3/port: must be integer`. A field that the schema does not have counts. */
export const schemaProblems = (value: unknown, schema: TSchema): readonly string[] =>
  Errors(schema, value).map(({ instancePath, message }) => `${instancePath === '' ? '/' : instancePath}: ${message}`)

/** The section of `docs/json.md` about a document: a table of its fields, and one for each named object in it. */
export function renderDocumentSchema(kind: string, schema: TSchema): string {
  const tables = namedObjects(plain(schema)).map((named) => `${heading(named, kind)}${fieldTable(named)}`)
  return tables.join('\n')
}

/** The keywords of JSON Schema that the schemas use. */
interface JsonSchema {
  readonly type?: string
  readonly title?: string
  readonly description?: string
  readonly format?: string
  readonly enum?: readonly string[]
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
}

const plain = (schema: TSchema): JsonSchema => JSON.parse(JSON.stringify(schema)) as JsonSchema

const heading = ({ title = '' }: JsonSchema, kind: string): string =>
  title === kind ? `## ${title}\n\n` : `### ${kind}: ${title}\n\n`

function fieldTable({ properties = {}, required = [] }: JsonSchema): string {
  const rows = Object.entries(properties).map(
    ([name, field]) =>
      `| \`${name}\` | ${typeName(field)}${required.includes(name) ? '' : ', may be absent'} | ${field.description ?? ''} |\n`,
  )
  return `| field | type | meaning |\n|---|---|---|\n${rows.join('')}`
}

function typeName(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.items) return `list of ${typeName(schema.items)}`
  const [values] = Object.values(schema.patternProperties ?? {})
  if (values) return `object: name to ${typeName(values)}`
  if (schema.format === 'date-time') return 'time'
  return schema.title ?? schema.type ?? 'any'
}

/** The object itself and what it refers to by name, each once, outermost first. */
function namedObjects(schema: JsonSchema, seen: readonly string[] = []): readonly JsonSchema[] {
  const within = schema.items ?? Object.values(schema.patternProperties ?? {})[0]
  if (within) return namedObjects(within, seen)
  if (schema.properties === undefined || schema.title === undefined || seen.includes(schema.title)) return []
  const found: JsonSchema[] = [schema]
  for (const field of Object.values(schema.properties)) {
    found.push(...namedObjects(field, [...seen, ...found.map(({ title = '' }) => title)]))
  }
  return found
}
