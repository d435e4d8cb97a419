/**
 * The tasks that this agent gave to peers, so that a later call finds them: one small file for each, which several processes can
 * write side by side. Where the disk fails the memory goes on. Holds results of peers: this user alone can read it.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '@clawmesh/agent-sdk'
import { readWhole, writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { isUuidV7 } from '@clawmesh/proto'
import type { ToolResult } from '@clawmesh/proto/tools'

export interface RegisteredTask {
  readonly id: string
  /** Full name. */
  readonly peer: string
  readonly skill: string
  readonly owner: string
  /** Milliseconds since the epoch. */
  readonly startedMs: number
  /** What it came to, once that is known; null before, and where it is too large to keep. */
  readonly outcome: ToolResult | null
}

export interface Register {
  /** Replaces the entry of that id. Never rejects: a disk that fails is logged. */
  put(task: RegisteredTask): Promise<void>
  remove(id: string): Promise<void>
  find(id: string): Promise<RegisteredTask | null>
  /** The newest first. */
  list(owner: string): Promise<readonly RegisteredTask[]>
}

const MAX_TASKS = 300
const MAX_FILE_BYTES = 128 * 1024
/** Leftovers are looked for once in so many entries. */
const PRUNE_EVERY = 20

export function createRegister(stateDir: string | null, log: Log): Register {
  return new TaskRegister(stateDir === null ? null : join(stateDir, 'tasks'), log)
}

class TaskRegister implements Register {
  readonly #dir: string | null
  readonly #log: Log
  /** The newest last. */
  readonly #recent = new Map<string, RegisteredTask>()
  #written = 0

  constructor(dir: string | null, log: Log) {
    this.#dir = dir
    this.#log = log
  }

  async put(task: RegisteredTask): Promise<void> {
    const text = JSON.stringify(task)
    const kept = text.length > MAX_FILE_BYTES / 4 ? { ...task, outcome: null } : task
    this.#remember(kept)
    if (this.#dir === null) return
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      // on the way of each delegation: a task that a power cut takes is still known to its peer
      await writeAtomic(this.#file(task.id), JSON.stringify(kept), { synced: false })
      this.#written += 1
      if (this.#written % PRUNE_EVERY === 1) await this.#prune()
    } catch (err) {
      this.#log.warn({ err, id: task.id }, 'the register of tasks cannot be written')
    }
  }

  async remove(id: string): Promise<void> {
    this.#recent.delete(id)
    if (this.#dir === null) return
    await rm(this.#file(id), { force: true }).catch((err: unknown) => {
      this.#log.warn({ err, id }, 'the register of tasks cannot be written')
    })
  }

  async find(id: string): Promise<RegisteredTask | null> {
    if (!isUuidV7(id)) return null
    const known = this.#recent.get(id)
    // another process may have waited for it meanwhile
    return known?.outcome ? known : ((await this.#read(id)) ?? known ?? null)
  }

  async list(owner: string): Promise<readonly RegisteredTask[]> {
    const ids = new Set([...(await this.#ids()), ...this.#recent.keys()])
    // ids are UUIDv7: in the order of time
    const newest = [...ids].sort().reverse().slice(0, MAX_TASKS)
    const tasks: RegisteredTask[] = []
    for (const id of newest) {
      const task = await this.find(id)
      if (task?.owner === owner) tasks.push(task)
    }
    return tasks
  }

  #remember(task: RegisteredTask): void {
    this.#recent.delete(task.id)
    this.#recent.set(task.id, task)
    const [oldest] = this.#recent.keys()
    if (this.#recent.size > MAX_TASKS && oldest !== undefined) this.#recent.delete(oldest)
  }

  #file(id: string): string {
    return join(this.#dir ?? '', `${id}.json`)
  }

  async #ids(): Promise<string[]> {
    if (this.#dir === null) return []
    const names = await readdir(this.#dir).catch(() => {
      // nothing was ever written there
      return []
    })
    return names.flatMap((name) => {
      const id = name.replace(/\.json$/, '')
      return name.endsWith('.json') && isUuidV7(id) ? [id] : []
    })
  }

  async #read(id: string): Promise<RegisteredTask | null> {
    if (this.#dir === null) return null
    try {
      const bytes = await readWhole(this.#file(id), { maxBytes: MAX_FILE_BYTES })
      const said: unknown = JSON.parse(bytes.toString('utf8'))
      return isRegistered(said) && said.id === id ? said : null
    } catch {
      // it is not there, or was damaged: the peer still knows the task
      return null
    }
  }

  async #prune(): Promise<void> {
    const old = (await this.#ids()).sort().reverse().slice(MAX_TASKS)
    for (const id of old) await rm(this.#file(id), { force: true })
  }
}

function isRegistered(said: unknown): said is RegisteredTask {
  if (typeof said !== 'object' || said === null) return false
  const texts = ['id', 'peer', 'skill', 'owner']
  if (!texts.every((name) => typeof Reflect.get(said, name) === 'string')) return false
  const outcome: unknown = Reflect.get(said, 'outcome')
  return (
    typeof Reflect.get(said, 'startedMs') === 'number' && (outcome === null || isResult(outcome))
  )
}

function isResult(said: unknown): said is ToolResult {
  if (typeof said !== 'object' || said === null) return false
  const details: unknown = Reflect.get(said, 'details')
  return (
    typeof Reflect.get(said, 'text') === 'string' &&
    typeof Reflect.get(said, 'isError') === 'boolean' &&
    typeof details === 'object' &&
    details !== null
  )
}
