/**
 * Writes and reads tar archives (POSIX.1-1988 ustar) of regular files. `tar` reads what is written here. The reader
 * accepts regular files with relative names only: no links, devices or directories, and no name that leaves the place.
 */
import type { ByteReader } from './byte-reader.ts'
import { invalidBackup } from './faults.ts'

const BLOCK_BYTES = 512
/** The largest size in octal digits; larger ones are written in base 256, as GNU tar does. */
const MAX_OCTAL = 8 ** 11 - 1
const PIECE_BYTES = 65_536
const NAME_PART = /^[A-Za-z0-9_@.=+-]{1,100}$/

export interface TarEntry {
  readonly name: string
  readonly sizeBytes: number
}

/** A relative name of plain parts: none is empty, `.` or `..`. It begins with no hyphen. */
export function isPlainName(name: string): boolean {
  const parts = name.split('/')
  const plain = parts.every((part) => NAME_PART.test(part) && part !== '.' && part !== '..')
  return plain && !name.startsWith('-') && parts.length <= 8 && splitName(name) !== null
}

/** The header block of a regular file, for its owner alone. */
export function tarHeader({ name, sizeBytes }: TarEntry, timeMs: number): Buffer {
  const split = splitName(name)
  if (split === null || !isPlainName(name)) throw new TypeError(`not a name for a backup: ${name}`)
  const block = Buffer.alloc(BLOCK_BYTES)
  block.write(split.name, 0, 100, 'latin1')
  block.write('0000600\0', 100, 'latin1')
  block.write('0000000\0', 108, 'latin1')
  block.write('0000000\0', 116, 'latin1')
  if (sizeBytes <= MAX_OCTAL) block.write(`${octal(sizeBytes, 11)}\0`, 124, 'latin1')
  else {
    block[124] = 0x80
    block.writeUIntBE(sizeBytes, 130, 6)
  }
  block.write(`${octal(Math.floor(timeMs / 1000), 11)}\0`, 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write('0', 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  block.write(split.prefix, 345, 155, 'latin1')
  block.write(`${octal(sumOf(block), 6)}\0 `, 148, 'latin1')
  return block
}

/** Fills the last block of a file. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES)
}

export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES)
}

/** The next entry; null at the end of the archive. @throws MeshError MESH_BACKUP_INVALID */
export async function readTarHeader(input: ByteReader): Promise<TarEntry | null> {
  const block = await input.take(BLOCK_BYTES)
  if (block.length < BLOCK_BYTES) throw invalidBackup('it ends before its end')
  if (block.every((byte) => byte === 0)) {
    await expectEnd(input)
    return null
  }
  const blank = Buffer.from(block)
  blank.fill(' ', 148, 156)
  if (numberAt(block, 148, 8) !== sumOf(blank)) throw invalidBackup('a header in it is damaged')
  const prefix = textAt(block, 345, 155)
  const name = `${prefix === '' ? '' : `${prefix}/`}${textAt(block, 0, 100)}`
  const type = String.fromCharCode(block[156] ?? 0)
  if (type !== '0' && type !== '\0')
    throw invalidBackup(`${JSON.stringify(name)} in it is not a regular file`)
  if (!isPlainName(name))
    throw invalidBackup(`it holds the name ${JSON.stringify(name.slice(0, 200))}`)
  const sizeBytes = (block[124] ?? 0) === 0x80 ? block.readUIntBE(130, 6) : numberAt(block, 124, 12)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw invalidBackup('a header in it is damaged')
  return { name, sizeBytes }
}

/** The content of an entry. Read it to its end before the next header. @throws MeshError MESH_BACKUP_INVALID */
export async function* readTarContent(
  input: ByteReader,
  { name, sizeBytes }: TarEntry,
): AsyncGenerator<Buffer> {
  for (let left = sizeBytes; left > 0; ) {
    const piece = await input.take(Math.min(left, PIECE_BYTES))
    if (piece.length === 0) throw invalidBackup(`it ends within ${name}`)
    left -= piece.length
    yield piece
  }
  await input.take(tarPadding(sizeBytes).length)
}

async function expectEnd(input: ByteReader): Promise<void> {
  for (;;) {
    const rest = await input.take(PIECE_BYTES)
    if (rest.length === 0) return
    if (rest.some((byte) => byte !== 0)) throw invalidBackup('something follows its end')
  }
}

/** Null: it does not fit. */
function splitName(name: string): { readonly prefix: string; readonly name: string } | null {
  if (name.length <= 100) return { prefix: '', name }
  const at = name.lastIndexOf('/', 155)
  const fits = at > 0 && name.length - at - 1 <= 100
  return fits ? { prefix: name.slice(0, at), name: name.slice(at + 1) } : null
}

function sumOf(block: Buffer): number {
  return block.reduce((sum, byte) => sum + byte, 0)
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}

function textAt(block: Buffer, from: number, length: number): string {
  const field = block.subarray(from, from + length)
  const end = field.indexOf(0)
  return field.toString('latin1', 0, end === -1 ? length : end)
}

function numberAt(block: Buffer, from: number, length: number): number {
  const text = textAt(block, from, length).trim()
  return /^[0-7]{1,12}$/.test(text) ? Number.parseInt(text, 8) : Number.NaN
}
