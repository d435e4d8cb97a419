/** Unpacks what `npm pack` makes: a gzipped archive of plain files (POSIX.1-1988, ustar), without a program for it. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'

const BLOCK = 512
/** Of the header of an entry, in bytes. */
const NAME = [0, 100] as const
const MODE = [100, 108] as const
const SIZE = [124, 136] as const
const TYPE = [156, 157] as const
const PREFIX = [345, 500] as const

/** @param to exists; the first directory of each path is left out. @throws Error of an entry that is no plain file */
export async function unpack(tarball: string, to: string): Promise<void> {
  const bytes = gunzipSync(await readFile(tarball))
  let at = 0
  // the archive ends with blocks of zeros
  while (at + BLOCK <= bytes.length && bytes[at] !== 0) {
    const header = bytes.subarray(at, at + BLOCK)
    const size = Number.parseInt(textOf(header, SIZE), 8)
    const path = [textOf(header, PREFIX), textOf(header, NAME)].filter(Boolean).join('/')
    if (!['0', ''].includes(textOf(header, TYPE)))
      throw new Error(`${tarball}: ${path} is no plain file`)
    const file = join(to, ...path.split('/').slice(1))
    await mkdir(dirname(file), { recursive: true })
    const mode = Number.parseInt(textOf(header, MODE), 8)
    await writeFile(file, bytes.subarray(at + BLOCK, at + BLOCK + size), { mode })
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK
  }
}

function textOf(header: Buffer, [from, to]: readonly [number, number]): string {
  const field = header.toString('latin1', from, to)
  return field.split('\0', 1)[0]?.trim() ?? ''
}
