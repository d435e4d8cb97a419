/** The audit log of a gateway that has ended: whole lines, and how often something is told. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { isRecord } from '../dev/message.ts'

export interface AuditLine {
  readonly event: string
  readonly tenant: string | null
  readonly agent: string | null
  readonly path: string | null
  /** HTTP method, or `package.Service/Method`. */
  readonly method: string
  readonly reason: string | null
  /** How many records it stands for. */
  readonly repeated: number
}

/** Without the records of what is still open: each has one of its end. @throws when a line is torn, or is no record */
export async function readAudit(file: string): Promise<readonly AuditLine[]> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  assert.equal(lines.pop(), '', 'the last line of the audit log is torn')
  const records = lines.map((line) => {
    const record: unknown = JSON.parse(line)
    assert.ok(isRecord(record), line)
    const text = (value: unknown) => (typeof value === 'string' ? value : null)
    return {
      event: text(record.event) ?? '',
      tenant: text(record.tenant),
      agent: text(record.agent_id),
      path: text(record.path),
      method: text(record.method) ?? text(record.grpc_method) ?? '',
      reason: text(record.reason),
      repeated: typeof record.repeated === 'number' ? record.repeated : 1,
      open: record.phase === 'open',
    }
  })
  return records.filter(({ open }) => !open)
}

export function toldTimes(lines: readonly AuditLine[], fits: (line: AuditLine) => boolean): number {
  return lines.filter(fits).reduce((sum, { repeated }) => sum + repeated, 0)
}
