/** Writes archives (POSIX.1-2001, pax) that depend on their entries alone: no time, user or order of this machine. */
import { readFile } from 'node:fs/promises'

export type Entry = DirectoryEntry | FileEntry | LinkEntry

interface Placed {
  /** Without a slash at either end. */
  readonly path: string
  /** User and group. Default 0. */
  readonly owner?: number
}

export interface DirectoryEntry extends Placed {
  readonly kind: 'directory'
  /** Default 0o755. */
  readonly mode?: number
}

export interface FileEntry extends Placed {
  readonly kind: 'file'
  /** Default 0o644. */
  readonly mode?: number
  /** The bytes, or the file of this machine that has them. */
  readonly content: Buffer | { readonly file: string }
}

export interface LinkEntry extends Placed {
  readonly kind: 'link'
  readonly target: string
}

const BLOCK = 512
const NAME_BYTES = 100
const TYPES = { file: '0', link: '2', directory: '5', pax: 'x' } as const

/** In the order of their paths, with the directories that nobody named. */
export async function* tarOf(
  entries: Iterable<Entry>,
  { epoch }: { readonly epoch: number },
): AsyncGenerator<Buffer> {
  for (const entry of inOrder(entries)) {
    const content = entry.kind === 'file' ? await bytesOf(entry) : Buffer.alloc(0)
    yield* headersOf(entry, content.length, epoch)
    yield content
    yield padding(content.length)
  }
  yield Buffer.alloc(BLOCK * 2)
}

function inOrder(entries: Iterable<Entry>): Entry[] {
  const byPath = new Map<string, Entry>()
  for (const entry of entries) {
    if (byPath.has(entry.path)) throw new Error(`${entry.path} is in the archive twice`)
    byPath.set(entry.path, entry)
  }
  for (const path of [...byPath.keys()])
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at)
      if (!byPath.has(parent)) byPath.set(parent, { kind: 'directory', path: parent })
    }
  // a directory comes before what is in it, since its path is the beginning of theirs
  return [...byPath.values()].sort((a, b) =>
    Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)),
  )
}

function bytesOf({ content }: FileEntry): Buffer | Promise<Buffer> {
  return Buffer.isBuffer(content) ? content : readFile(content.file)
}

function* headersOf(entry: Entry, size: number, epoch: number): Generator<Buffer> {
  const path = entry.kind === 'directory' ? `${entry.path}/` : entry.path
  const target = entry.kind === 'link' ? entry.target : ''
  const long = [
    ...(Buffer.byteLength(path) > NAME_BYTES ? [paxRecord('path', path)] : []),
    ...(Buffer.byteLength(target) > NAME_BYTES ? [paxRecord('linkpath', target)] : []),
  ]
  const mode = modeOf(entry)
  const owner = entry.owner ?? 0
  if (long.length > 0) {
    const records = Buffer.concat(long)
    yield header({
      name: 'pax',
      mode: 0o644,
      owner: 0,
      size: records.length,
      epoch,
      type: TYPES.pax,
    })
    yield records
    yield padding(records.length)
  }
  yield header({ name: path, mode, owner, size, epoch, type: TYPES[entry.kind], target })
}

function modeOf(entry: Entry): number {
  if (entry.kind === 'link') return 0o777
  return entry.mode ?? (entry.kind === 'directory' ? 0o755 : 0o644)
}

/** Its length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  const bytes = Buffer.byteLength(rest)
  let length = bytes + String(bytes).length
  length = bytes + String(length).length
  return Buffer.from(`${length}${rest}`)
}

interface Header {
  readonly name: string
  readonly mode: number
  readonly owner: number
  readonly size: number
  readonly epoch: number
  readonly type: string
  readonly target?: string
}

function header({ name, mode, owner, size, epoch, type, target = '' }: Header): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, bytes: number) =>
    block.write(value.toString(8).padStart(bytes - 1, '0'), at, bytes - 1, 'latin1')
  Buffer.from(name).copy(block, 0, 0, NAME_BYTES)
  octal(mode, 100, 8)
  octal(owner, 108, 8)
  octal(owner, 116, 8)
  octal(size, 124, 12)
  octal(epoch, 136, 12)
  block.write('        ', 148, 'latin1')
  block.write(type, 156, 'latin1')
  Buffer.from(target).copy(block, 157, 0, NAME_BYTES)
  block.write('ustar\x0000', 257, 'latin1')
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
}
