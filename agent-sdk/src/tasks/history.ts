/** What a task had told before its agent was restarted: what it was answered, and how far its artifacts had come. */
import { createHash, type Hash } from 'node:crypto'
import type { Part } from '../model/part.ts'
import type { TaskRecord, TaskStore } from '../model/task-store.ts'
import { decodeEvent } from '../wire/event-codec.ts'
import { messages } from '../wire/messages.ts'

export interface History {
  /** By the id of the question. */
  readonly answers: ReadonlyMap<string, readonly Part[]>
  /** By name. */
  readonly artifacts: ReadonlyMap<string, SentArtifact>
}

export interface SentArtifact {
  /** Index of the chunk that comes next. */
  readonly next: number
  readonly bytes: number
  /** Of what was sent so far. */
  readonly sha256: string
  readonly whole: boolean
}

export const NO_HISTORY: History = Object.freeze({ answers: new Map(), artifacts: new Map() })

// others have their turn while a long history is read
const EVENTS_AT_ONCE = 16

/** @throws MeshError MESH_TASK_STORE_FAILED */
export async function readHistory(
  store: TaskStore,
  { caller, id, lastSeq }: TaskRecord,
): Promise<History> {
  const answers = new Map<string, readonly Part[]>()
  const open = new Map<string, { next: number; bytes: number; hash: Hash; whole: boolean }>()
  for (let seq = 0; seq < lastSeq; seq += 1) {
    if (seq % EVENTS_AT_ONCE === 0) await new Promise(setImmediate)
    const event = store.eventAfter(caller, id, seq)
    if (event === null) break
    const { body } = decodeEvent(messages.event.deserialize(event.bytes))
    if (body.kind === 'input-received') answers.set(body.inputId, body.answer)
    if (body.kind !== 'artifact') continue
    const artifact = open.get(body.name) ?? {
      ...{ next: 0, bytes: 0, hash: createHash('sha256'), whole: false },
    }
    open.set(body.name, artifact)
    artifact.next = body.index + 1
    artifact.bytes += body.data.length
    artifact.hash.update(body.data)
    artifact.whole = body.last
  }
  const artifacts = new Map(
    [...open].map(([name, { next, bytes, hash, whole }]) => [
      name,
      { next, bytes, sha256: hash.digest('hex'), whole },
    ]),
  )
  return { answers, artifacts }
}
