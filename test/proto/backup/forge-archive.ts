/** Archives that no program of ours writes, for tests of the reader: entries as they are given, truly encrypted. */
import { createHash } from 'node:crypto'
import { Secret } from '@clawmesh/proto'
import { encrypt } from '../../../proto/src/backup/age-stream.ts'
import { tarEnd, tarHeader, tarPadding } from '../../../proto/src/backup/tar.ts'

export const PASSPHRASE = new Secret('correct horse battery')
/** Quick: what is tested is not the cost of guessing. */
export const WORK_FACTOR = 4

export interface ForgedEntry {
  readonly name: string
  readonly content: string
  /** The type of the entry: 0 a file, 1 a hard link, 2 a symbolic link, 3 a device, 5 a directory. */
  readonly type?: string
  readonly linkTo?: string
}

export async function* bytes(...pieces: readonly (Uint8Array | string)[]) {
  for (const piece of pieces) yield Buffer.from(piece)
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

export function encrypted(...pieces: readonly (Uint8Array | string)[]): Promise<Buffer> {
  return collect(encrypt(bytes(...pieces), PASSPHRASE, WORK_FACTOR))
}

/** The block of an entry with a name that no writer of ours would write. */
export function forgedHeader({ name, content, type = '0', linkTo = '' }: ForgedEntry): Buffer {
  const block = tarHeader({ name: 'x', sizeBytes: type === '0' ? content.length : 0 }, 0)
  block.fill(0, 0, 100)
  block.write(name, 0, 100, 'latin1')
  block.write(type, 156, 'latin1')
  block.write(linkTo, 157, 100, 'latin1')
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

export function forgedTar(entries: readonly ForgedEntry[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap((entry) => {
      const content = (entry.type ?? '0') === '0' ? entry.content : ''
      return [forgedHeader(entry), Buffer.from(content), tarPadding(content.length)]
    }),
    tarEnd(),
  ])
}

export function headerEntry(more: Readonly<Record<string, unknown>> = {}): ForgedEntry {
  const facts = { format: 1, kind: 'ca', version: '0.1.0', made: '2026-11-30T00:00:00.000Z' }
  return { name: 'backup.json', content: JSON.stringify({ ...facts, ...more }) }
}

/** With a header before, and right hashes behind. */
export function forged(
  entries: readonly ForgedEntry[],
  facts: Readonly<Record<string, unknown>> = {},
): Promise<Buffer> {
  const all = [headerEntry(facts), ...entries]
  const sums = all
    .map(({ name, content }) => `${createHash('sha256').update(content).digest('hex')}  ${name}\n`)
    .join('')
  return encrypted(forgedTar([...all, { name: 'SHA256SUMS', content: sums }]))
}
