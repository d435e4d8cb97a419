/** Reads an audit log of any size, a line at a time, and counts what cannot be used of it. */
import { createReadStream } from 'node:fs'
import { MeshError } from '@clawmesh/proto'
import { readLines } from './read-lines.ts'
import { type AgentOf, type RecordedCase, readCase } from './recorded-case.ts'

export interface RecordingCounts {
  /** Lines of an audit log, whether policy decided them or not. */
  readonly records: number
  /** Of these, what policy has nothing to say about: bad tokens, limits, the gateway's own endpoints. */
  readonly notOfPolicy: number
  /** Lines that are none of an audit log. */
  readonly foreignLines: number
  /** True when the last line is cut off. */
  readonly tornLastLine: boolean
}

const MAX_LINE_BYTES = 1024 * 1024

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
  try {
    for await (const { text, whole } of readLines(createReadStream(file), MAX_LINE_BYTES)) {
      if (text?.trim() === '') continue
      const reading = text === null ? 'foreign' : readCase(text, agentOf)
      if (reading === 'foreign') {
        if (whole) foreignLines += 1
        else tornLastLine = true
        continue
      }
      records += 1
      if (reading === 'other') notOfPolicy += 1
      else each(reading)
    }
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new MeshError('MESH_AUDIT_UNREADABLE', `cannot read ${file} (${code})`, { cause })
  }
  return { records, notOfPolicy, foreignLines, tornLastLine }
}
