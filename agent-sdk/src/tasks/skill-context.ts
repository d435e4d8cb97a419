/** The `task` and `ctx` that a skill is called with. */
import { createHash } from 'node:crypto'
import { MeshError } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import { silentLog } from '../log.ts'
import { cutText, PIECE_BYTES } from '../wire/pieces.ts'
import type { LiveTask } from './live-task.ts'
import type { TaskContext } from './skill.ts'

export interface Outward {
  /** As that of the task; its listeners run for the task too. */
  readonly signal: AbortSignal
  readonly fetch: TaskContext['fetch']
  readonly delegate: TaskContext['delegate']
  readonly log: Log
}

export function createTaskContext(live: LiveTask, outward: Outward): TaskContext {
  const names = new Set<string>()
  const { signal } = live
  const say = (body: Parameters<LiveTask['emit']>[0]) => live.emit(body)
  return Object.freeze({
    progress(fraction: number, note = '') {
      if (Number.isNaN(fraction)) throw new TypeError('progress: fraction is not a number')
      say({ kind: 'progress', fraction: Math.min(1, Math.max(0, fraction)), note })
    },
    message(text: string) {
      for (const piece of cutText(text)) say({ kind: 'message', text: piece })
    },
    status(note: string) {
      say({ kind: 'status', state: 'working', note })
    },
    usage(amounts: Readonly<Record<string, number>>) {
      say({ kind: 'usage', amounts })
    },
    async artifact(
      name: string,
      data: Uint8Array | string | AsyncIterable<Uint8Array>,
      { mediaType = 'application/octet-stream' }: { readonly mediaType?: string } = {},
    ) {
      if (name === '' || name.length > 255)
        throw new TypeError('artifact: name is empty or too long')
      if (names.has(name)) throw new TypeError(`artifact: the name ${name} was used before`)
      names.add(name)
      const hash = createHash('sha256')
      let index = 0
      let bytes = 0
      // one piece is held back, since only the last one carries the hash
      let held: Uint8Array = new Uint8Array()
      for await (const chunk of piecesOf(data)) {
        signal.throwIfAborted()
        if (held.length > 0) {
          say({ kind: 'artifact', name, mediaType, index, data: held, last: false, sha256: null })
          index += 1
        }
        // copied: the skill may reuse its buffer
        held = Uint8Array.from(chunk)
        hash.update(held)
        bytes += held.length
      }
      signal.throwIfAborted()
      const sha256 = hash.digest('hex')
      say({ kind: 'artifact', name, mediaType, index, data: held, last: true, sha256 })
      return Object.freeze({ name, sha256, bytes })
    },
    reject(message: string): never {
      throw new MeshError('MESH_TASK_REJECTED', message)
    },
    ...outward,
  })
}

/** A log whose lines carry some fields. */
export function withFields(log: Log, fields: object): Log {
  if (log === silentLog) return log
  return Object.freeze({
    debug: (more: object, message: string) => log.debug({ ...fields, ...more }, message),
    info: (more: object, message: string) => log.info({ ...fields, ...more }, message),
    warn: (more: object, message: string) => log.warn({ ...fields, ...more }, message),
    error: (more: object, message: string) => log.error({ ...fields, ...more }, message),
  })
}

async function* piecesOf(
  data: Uint8Array | string | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const source = typeof data === 'string' ? Buffer.from(data.toWellFormed()) : data
  if (source instanceof Uint8Array) {
    for (let at = 0; at < source.length; at += PIECE_BYTES)
      yield source.subarray(at, at + PIECE_BYTES)
    return
  }
  for await (const chunk of source) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('artifact: a chunk is not a Uint8Array')
    for (let at = 0; at < chunk.length; at += PIECE_BYTES)
      yield chunk.subarray(at, at + PIECE_BYTES)
  }
}
