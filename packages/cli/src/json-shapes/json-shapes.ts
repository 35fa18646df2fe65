import { applySummary } from './apply-summary.js'
import { auditReport } from './audit-report.js'
import { bisection } from './bisection.js'
import { blameList } from './blame-list.js'
import { cleanupSummary } from './cleanup-summary.js'
import { diffShape } from './diff.js'
import { explanation } from './explanation.js'
import { importSummary } from './import-summary.js'
import { logInfo } from './log-info.js'
import { recordList } from './record-list.js'
import { recordSummary } from './record-summary.js'
import { replaySummary } from './replay-summary.js'
import { ruleList } from './rule-list.js'
import { serviceList } from './service-list.js'
import type { Shape } from './shape.js'
import { traceShape } from './trace.js'

/** Each document that `-o json` prints, by its kind. Tests check real output against it, and `docs/json.md` shows it. */
export const JSON_SHAPES: Readonly<Record<string, Shape>> = {
  ApplySummary: applySummary,
  AuditReport: auditReport,
  Bisection: bisection,
  BlameList: blameList,
  CleanupSummary: cleanupSummary,
  Diff: diffShape,
  Explanation: explanation,
  ImportSummary: importSummary,
  LogInfo: logInfo,
  RecordList: recordList,
  RecordSummary: recordSummary,
  ReplaySummary: replaySummary,
  RuleList: ruleList,
  ServiceList: serviceList,
  Trace: traceShape,
}
