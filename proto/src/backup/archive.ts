/**
 * The archive of a backup: a tar of regular files, encrypted as an age file. The first entry, `backup.json`, says what
 * it is of; the last one, `SHA256SUMS`, names every other entry with its hash, in the form of sha256sum(1).
 */
import { createHash } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { decrypt, encrypt } from './age-stream.ts'
import { type ByteReader, createByteReader } from './byte-reader.ts'
import { invalidBackup } from './faults.ts'
import {
  readTarContent,
  readTarHeader,
  type TarEntry,
  tarEnd,
  tarHeader,
  tarPadding,
} from './tar.ts'

export const HEADER_NAME = 'backup.json'
export const SUMS_NAME = 'SHA256SUMS'
const FORMAT = 1
const MAX_HEADER_BYTES = 65_536
const MAX_ENTRIES = 200_000
/** One line of SHA256SUMS: 64 digits, two spaces, the name, a line feed. */
const MAX_SUMS_BYTES = MAX_ENTRIES * 330

/** What the archive is of. */
export type BackupKind = 'ca' | 'gateway'

export interface BackupFacts {
  readonly kind: BackupKind
  /** Version of the program that made it. */
  readonly version: string
  /** ISO 8601, UTC: what the archive holds is of this moment. */
  readonly made: string
}

export interface BackupSource {
  /** Its name in the archive. */
  readonly name: string
  readonly sizeBytes: number
  /** Exactly `sizeBytes` bytes. */
  read(): AsyncIterable<Uint8Array>
}

export interface ArchiveOptions {
  readonly facts: BackupFacts
  readonly sources: readonly BackupSource[]
  readonly passphrase: Secret
  /** See `encrypt`. */
  readonly workFactor?: number | undefined
}

export interface ArchivedFile extends TarEntry {
  /** SHA-256, lower-case hexadecimal. */
  readonly sha256: string
}

/** @throws MeshError MESH_BACKUP_INVALID when a source ends early; what reading the sources throws */
export function writeArchive(options: ArchiveOptions): AsyncGenerator<Buffer> {
  return encrypt(tarOf(options), options.passphrase, options.workFactor)
}

async function* tarOf({ facts, sources }: ArchiveOptions): AsyncGenerator<Uint8Array> {
  const timeMs = Date.parse(facts.made)
  const header = Buffer.from(`${JSON.stringify({ format: FORMAT, ...facts }, null, 2)}\n`)
  const sums: string[] = []
  for (const source of [inMemory(HEADER_NAME, header), ...sources]) {
    yield tarHeader(source, timeMs)
    const hash = createHash('sha256')
    let bytes = 0
    for await (const piece of source.read()) {
      bytes += piece.length
      hash.update(piece)
      yield piece
    }
    if (bytes !== source.sizeBytes)
      throw invalidBackup(`${source.name} changed while it was read`, 'try again')
    yield tarPadding(source.sizeBytes)
    sums.push(`${hash.digest('hex')}  ${source.name}\n`)
  }
  const list = Buffer.from(sums.join(''))
  yield tarHeader({ name: SUMS_NAME, sizeBytes: list.length }, timeMs)
  yield list
  yield tarPadding(list.length)
  yield tarEnd()
}

export function inMemory(name: string, content: Buffer | string): BackupSource {
  const bytes = Buffer.from(content)
  return {
    name,
    sizeBytes: bytes.length,
    async *read() {
      yield bytes
    },
  }
}

export interface ReadArchiveOptions {
  readonly input: AsyncIterable<Uint8Array>
  readonly passphrase: Secret
  /** Called first. @throws to refuse the archive */
  readonly onFacts?: (facts: BackupFacts) => void
  /** Called for each file; content that it leaves is passed over. */
  readonly onFile?: (entry: TarEntry, content: AsyncIterable<Buffer>) => Promise<void>
}

export interface ReadArchive {
  readonly facts: BackupFacts
  readonly files: readonly ArchivedFile[]
}

/**
 * Reads an archive to its end, and proves every hash. Until it returns, nothing in it counts.
 * @throws MeshError MESH_BACKUP_INVALID, MESH_BACKUP_PASSPHRASE, and what the callbacks throw
 */
export async function readArchive(options: ReadArchiveOptions): Promise<ReadArchive> {
  const input = createByteReader(decrypt(options.input, options.passphrase))
  try {
    return await readEntries(input, options)
  } finally {
    await input.close()
  }
}

async function readEntries(input: ByteReader, options: ReadArchiveOptions): Promise<ReadArchive> {
  const first = await readTarHeader(input)
  if (first?.name !== HEADER_NAME) throw invalidBackup('it does not begin with backup.json')
  const header = await readSmall(input, first, MAX_HEADER_BYTES)
  const facts = parseFacts(header)
  options.onFacts?.(facts)
  const files: ArchivedFile[] = [{ ...first, sha256: sha256(header) }]
  const names = new Set([HEADER_NAME])
  for (;;) {
    const entry = await readTarHeader(input)
    if (entry === null) throw invalidBackup('it has no SHA256SUMS')
    if (entry.name === SUMS_NAME) {
      checkSums(files, await readSmall(input, entry, MAX_SUMS_BYTES))
      if ((await readTarHeader(input)) !== null) throw invalidBackup('SHA256SUMS is not its end')
      return { facts, files: files.slice(1) }
    }
    if (names.has(entry.name)) throw invalidBackup(`it holds ${entry.name} twice`)
    if (names.size >= MAX_ENTRIES) throw invalidBackup(`it holds more than ${MAX_ENTRIES} files`)
    names.add(entry.name)
    files.push({ ...entry, sha256: await pass(input, entry, options) })
  }
}

async function pass(
  input: ByteReader,
  entry: TarEntry,
  { onFile }: ReadArchiveOptions,
): Promise<string> {
  const hash = createHash('sha256')
  const content = readTarContent(input, entry)
  async function* hashed(): AsyncGenerator<Buffer> {
    // by hand: a reader that stops early must not end the content
    for (let next = await content.next(); next.done !== true; next = await content.next()) {
      hash.update(next.value)
      yield next.value
    }
  }
  if (onFile !== undefined) await onFile(entry, hashed())
  // what it has left, so that the next header is found
  for (let rest = await content.next(); rest.done !== true; rest = await content.next())
    hash.update(rest.value)
  return hash.digest('hex')
}

async function readSmall(input: ByteReader, entry: TarEntry, maxBytes: number): Promise<Buffer> {
  if (entry.sizeBytes > maxBytes) throw invalidBackup(`${entry.name} in it is too large`)
  const pieces: Buffer[] = []
  for await (const piece of readTarContent(input, entry)) pieces.push(piece)
  return Buffer.concat(pieces)
}

function checkSums(files: readonly ArchivedFile[], list: Buffer): void {
  const expected = files.map(({ sha256: sum, name }) => `${sum}  ${name}\n`).join('')
  if (list.toString('latin1') === expected) return
  const lines = new Set(list.toString('latin1').split('\n'))
  const wrong = files.find(({ sha256: sum, name }) => !lines.has(`${sum}  ${name}`))
  throw invalidBackup(
    wrong === undefined
      ? 'SHA256SUMS names files that are missing'
      : `${wrong.name} is not what SHA256SUMS says`,
  )
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function parseFacts(header: Buffer): BackupFacts {
  const value = parseJson(header.toString('utf8'))
  const field = (name: string): unknown =>
    typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  if (field('format') !== FORMAT)
    throw invalidBackup(
      `its format is ${JSON.stringify(field('format') ?? null)}, and this version reads ${FORMAT}`,
      'restore it with the version of the program that made it',
    )
  const [kind, version, made] = [field('kind'), field('version'), field('made')]
  const known = kind === 'ca' || kind === 'gateway'
  if (!known || typeof version !== 'string' || typeof made !== 'string' || !isTime(made))
    throw invalidBackup('its backup.json is damaged')
  return { kind, version: version.slice(0, 100), made }
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text) && !Number.isNaN(Date.parse(text))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // the caller says that it is damaged
    return null
  }
}
