/** The `task` and `ctx` that a skill is called with. */
import { MeshError } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { Log } from '../log.ts'
import { silentLog } from '../log.ts'
import { type Content, jsonOf, textOf, toParts } from '../model/part.ts'
import { cutText } from '../wire/pieces.ts'
import type { History } from './history.ts'
import type { LiveTask } from './live-task.ts'
import type { Questions } from './questions.ts'
import { type ArtifactData, sendArtifact } from './send-artifact.ts'
import type { TaskContext } from './skill.ts'

export interface Outward {
  /** As that of the task; its listeners run for the task too. */
  readonly signal: AbortSignal
  readonly fetch: TaskContext['fetch']
  readonly delegate: TaskContext['delegate']
  readonly enter: TaskContext['enter']
  readonly traceparent: string
  readonly log: Log
}

type ArtifactOptions = NonNullable<Parameters<TaskContext['artifact']>[2]>
const ARTIFACT_OPTIONS = optionNames<ArtifactOptions>({ mediaType: true })
// it is written whole each time
const CHECKPOINT_BYTES = 1024 * 1024

/** What an earlier run of the same task left. */
export interface EarlierRun {
  readonly history: History
  /** JSON; null when nothing was saved. */
  readonly saved: string | null
}

export function createTaskContext(
  live: LiveTask,
  questions: Questions,
  earlier: EarlierRun | null,
  outward: Outward,
): TaskContext {
  const saved: unknown = earlier?.saved == null ? undefined : JSON.parse(earlier.saved)
  const names = new Set<string>()
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
      say({ kind: 'status', state: live.record().state, note })
    },
    usage(amounts: Readonly<Record<string, number>>) {
      say({ kind: 'usage', amounts })
    },
    async artifact(name: string, data: ArtifactData, options: ArtifactOptions = {}) {
      checkOptions(options, ARTIFACT_OPTIONS, 'artifact')
      const { mediaType = 'application/octet-stream' } = options
      if (name === '' || name.length > 255)
        throw new TypeError('artifact: name is empty or too long')
      if (names.has(name)) throw new TypeError(`artifact: the name ${name} was used before`)
      names.add(name)
      return sendArtifact(live, { name, mediaType }, data, earlier?.history.artifacts.get(name))
    },
    ask: async (question: Content) => {
      const parts = await questions.ask(toParts(question))
      return Object.freeze({ parts, text: () => textOf(parts), json: () => jsonOf(parts) })
    },
    resumed: earlier !== null,
    saved,
    async checkpoint(state: unknown) {
      const json = JSON.stringify(state)
      if (json === undefined) throw new TypeError('checkpoint: is not JSON')
      if (Buffer.byteLength(json) > CHECKPOINT_BYTES)
        throw new TypeError(`checkpoint: is larger than ${CHECKPOINT_BYTES} bytes`)
      live.save(json)
      await live.settled()
    },
    reject(message: string): never {
      throw new MeshError('MESH_TASK_REJECTED', message)
    },
    ...outward,
  })
}

/** A log that adds the given fields to each line. */
export function withFields(log: Log, fields: object): Log {
  if (log === silentLog) return log
  return Object.freeze({
    debug: (more: object, message: string) => log.debug({ ...fields, ...more }, message),
    info: (more: object, message: string) => log.info({ ...fields, ...more }, message),
    warn: (more: object, message: string) => log.warn({ ...fields, ...more }, message),
    error: (more: object, message: string) => log.error({ ...fields, ...more }, message),
  })
}
