/**
 * An append-only file with one record per line. An append is one write that is on the disk when it returns, so after a
 * crash the record is there or not; a record torn by a power cut is a line of its own and is not read.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileFault, hasErrorCode } from './file-fault.ts'

/** Creates the file if needed, readable by its owner only. @throws MeshError MESH_DISK_WRITE. */
export function appendRecord(path: string, record: Readonly<Record<string, unknown>>): void {
  // the previous line may be torn: begin a new one
  const line = Buffer.from(`\n${JSON.stringify(record)}\n`, 'utf8')
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const file = openSync(path, 'a', 0o600)
    try {
      // a second write might not follow the first, if another process writes in between
      if (writeSync(file, line) !== line.length) throw new Error('written in part')
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw fileFault('MESH_DISK_WRITE', path, error)
  }
}

/** Every complete record, in order; none when there is no file. @throws MeshError MESH_PKI_INVALID. */
export async function readRecords(path: string): Promise<readonly object[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (hasErrorCode(error, 'ENOENT')) return ''
    throw fileFault('MESH_PKI_INVALID', path, error)
  })
  return text.split('\n').flatMap((line) => {
    const record = line === '' ? null : parseLine(line)
    return typeof record === 'object' && record !== null ? [record] : []
  })
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    // torn by a crash: its certificate was never handed out
    return null
  }
}
