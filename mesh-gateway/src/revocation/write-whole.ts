/** Writes the gateway's own list anew: readers see the old or the new one, never a half. In pieces, with the event loop in between. */
import { createHash } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { uuidV7 } from '@clawmesh/proto'
import type { RevocationEntry } from './entry.ts'
import { formatEntry, formatHeader, formatSeal, type Position } from './journal-lines.ts'

const PIECE = 500

/** On the disk when it returns; the caller has the lock. @throws the error of the system; then the old file is as it was */
export async function writeWhole(
  path: string,
  position: Position,
  entries: Iterable<RevocationEntry>,
): Promise<void> {
  // a symbolic link stays one
  const target = await realpath(path).catch(() => path)
  const temporary = `${target}.${uuidV7()}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await writeLines(file, position, entries)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
    // else a power cut could bring the old file back, without what is appended to this one
    const directory = await open(dirname(target), 'r')
    await directory.sync().finally(() => directory.close())
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {
      // the first error says what is wrong; the left-over is never read
    })
    throw error
  }
}

async function writeLines(
  file: FileHandle,
  position: Position,
  entries: Iterable<RevocationEntry>,
): Promise<void> {
  const digest = createHash('sha256')
  let count = 0
  let lines: string[] = []
  const flush = async () => {
    const text = lines.join('')
    lines = []
    digest.update(text)
    await file.appendFile(text)
  }
  await file.appendFile(formatHeader(position))
  for (const entry of entries) {
    count += 1
    lines.push(formatEntry(entry))
    if (lines.length === PIECE) await flush()
  }
  await flush()
  await file.appendFile(formatSeal(count, digest.digest('hex')))
}
