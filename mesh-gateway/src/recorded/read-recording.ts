/**
 * Reads an audit log of any size, line by line, and counts what is unusable. A request that was open for long has two
 * records and counts once: by its end, or by its opening where the end is not in the log.
 */
import { auditLines } from './audit-lines.ts'
import {
  type AgentOf,
  type Reading,
  type RecordedCase,
  readCase,
  readFields,
} from './recorded-case.ts'

export interface RecordingCounts {
  /** Requests in the log, whether policy decided them or not. */
  readonly records: number
  /** Of these, requests that policy did not decide: bad tokens, limits, the gateway's own endpoints. */
  readonly notOfPolicy: number
  /** Lines that are not of an audit log. */
  readonly foreignLines: number
  /** True when the last line is cut. */
  readonly tornLastLine: boolean
}

/** Maximum open requests remembered. Over it, some without an end are missed; none counts twice. */
const MAX_OPEN = 200_000

/** @throws MeshError MESH_AUDIT_UNREADABLE */
export async function readRecording(
  file: string,
  agentOf: AgentOf,
  each: (recorded: RecordedCase) => void,
): Promise<RecordingCounts> {
  let records = 0
  let notOfPolicy = 0
  let foreignLines = 0
  let tornLastLine = false
  const open = new Map<string, Reading>()
  const count = (reading: Reading) => {
    if (reading === 'foreign') foreignLines += 1
    else records += 1
    if (reading === 'other') notOfPolicy += 1
    else if (reading !== 'foreign') each(reading)
  }
  for await (const { text, whole } of auditLines(file)) {
    if (text?.trim() === '') continue
    const fields = readFields(text ?? '')
    const reading = readCase(fields, agentOf)
    const openId = fields.get('open_id')
    if (reading === 'foreign' && !whole) tornLastLine = true
    else if (typeof openId !== 'string' || reading === 'foreign') count(reading)
    else if (fields.get('phase') === 'open') {
      if (open.size < MAX_OPEN) open.set(openId, reading)
    } else {
      open.delete(openId)
      count(reading)
    }
  }
  for (const reading of open.values()) count(reading)
  return { records, notOfPolicy, foreignLines, tornLastLine }
}
