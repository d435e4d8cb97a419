/**
 * Reads lines of audit logs of any size: files, files compressed by logrotate, and the standard input. Holds one line
 * in memory at a time.
 */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { MeshError } from '@clawmesh/proto'
import { codeOf } from '../process/error-code.ts'
import { type Line, readLines } from './read-lines.ts'

/** Names the standard input in place of a file. */
export const STDIN = '-'
const MAX_LINE_BYTES = 1024 * 1024

/** @throws MeshError MESH_AUDIT_UNREADABLE */
export async function* auditLines(file: string): AsyncGenerator<Line> {
  try {
    yield* readLines(open(file), MAX_LINE_BYTES)
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw unreadable(file, codeOf(cause), cause)
  }
}

/**
 * The rotated files of logrotate and the file itself: `audit.log-20261129.gz`, `audit.log.2.gz`, `audit.log.1`,
 * `audit.log`.
 * @throws MeshError MESH_AUDIT_UNREADABLE
 */
export async function withRotated(file: string): Promise<string[]> {
  const dir = path.dirname(file)
  const base = path.basename(file)
  try {
    const names = await readdir(dir)
    const rotated = names.filter(
      (name) => name.startsWith(base) && ROTATED.test(name.slice(base.length)),
    )
    return [...rotated.sort().map((name) => path.join(dir, name)), file]
  } catch (cause) {
    throw unreadable(dir, codeOf(cause), cause)
  }
}

const ROTATED = /^(?:\.\d{1,6}|[.-]\d{8}(?:-\d{1,10})?)(?:\.gz)?$/

function open(file: string): Readable {
  // never close the standard input
  if (file === STDIN) return createReadStream('', { fd: 0, autoClose: false })
  const stream = createReadStream(file)
  if (!file.endsWith('.gz')) return stream
  // the reader gets the errors of both
  return pipeline(stream, createGunzip(), () => {})
}

function unreadable(file: string, code: string, cause: unknown): MeshError {
  const shown = file === STDIN ? 'the standard input' : file
  return new MeshError('MESH_AUDIT_UNREADABLE', `cannot read ${shown} (${code})`, { cause })
}
