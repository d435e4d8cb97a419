/**
 * Rewrites the gateway's own revocation list atomically: readers see the old or the new file, never a part. Writes in
 * pieces, with the event loop in between.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { uuidV7 } from '@clawmesh/proto'
import type { RevocationEntry } from './entry.ts'
import { formatEntry, formatHeader, formatSeal, type Position } from './journal-lines.ts'

const PIECE = 500

/**
 * On the disk when it resolves; the caller holds the lock. @throws the error of the system; the old file is then
 * unchanged
 */
export async function writeWhole(
  path: string,
  position: Position,
  entries: Iterable<RevocationEntry>,
): Promise<void> {
  // keeps a symbolic link
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
    // without it, a power cut could restore the old file, without the lines appended to this one
    const directory = await open(dirname(target), 'r')
    await directory.sync().finally(() => directory.close())
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {
      // the first error names the cause; the leftover file is never read
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
