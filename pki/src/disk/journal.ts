/**
 * A file that only grows, a record in each line. Appending is one write that has reached the disk when it returns, so a
 * crash leaves the record or not; a torn one, after the power went, stands in a line of its own and is not read.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileFault, hasErrorCode } from './file-fault.ts'

/** Made when it does not exist, readable by its owner only. @throws MeshError MESH_DISK_WRITE. */
export function appendRecord(path: string, record: Readonly<Record<string, unknown>>): void {
  // the line before may have been torn: this one begins anew
  const line = Buffer.from(`\n${JSON.stringify(record)}\n`, 'utf8')
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const file = openSync(path, 'a', 0o600)
    try {
      // a second write would not follow the first, if somebody else wrote in between
      if (writeSync(file, line) !== line.length) throw new Error('written in part')
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw fileFault('MESH_DISK_WRITE', path, error)
  }
}

/** Every whole record, in order; none where there is no file. @throws MeshError MESH_PKI_INVALID. */
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
    // torn by a crash: what it was about was never handed out
    return null
  }
}
