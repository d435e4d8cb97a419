/**
 * Policy, watched. Read the whole directory, prove every file, swap one snapshot, tell the listeners; if anything is
 * wrong with any file, the last good one stays and is warned of once.
 */
import type { Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { assemblePolicy } from './compile.ts'
import { policyInvalid } from './fault.ts'
import { createPolicyJudge } from './load-policy.ts'
import { readPolicyDirectory } from './read-directory.ts'
import { GLOBAL_FILE } from './read-file.ts'
import type { PolicySnapshot } from './snapshot.ts'
import { watchDirectory } from './watch-directory.ts'

export interface PolicyStoreOptions {
  /** Holds TENANT.json files and `_global.json`. */
  readonly dir: string
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload'>
  /** How often the directory is read and compared, whatever the watching says, in milliseconds. Default 10 000. */
  readonly pollMs?: number
  /** How long the content must stay the same to be believed, in milliseconds. Default 150. */
  readonly debounceMs?: number
}

export interface PolicyReadiness {
  /** False while there is no policy at all, and so nothing is allowed. */
  readonly ready: boolean
  readonly reason: string | null
}

export interface PolicyStore {
  /** The last good one; never none. */
  current(): PolicySnapshot
  /** Called after each swap. Returns a function that ends it. */
  onChange(listener: (snapshot: PolicySnapshot) => void): () => void
  readiness(): PolicyReadiness
  /** Why the last good policy is kept; null while what is on disk is in force. */
  problem(): MeshError | null
  close(): Promise<void>
}

/** Content that never holds still is judged all the same after so many readings. */
const MAX_UNSETTLED = 10

/**
 * Opens a policy directory. One that is absent or empty opens with a snapshot that allows nothing.
 * @throws MeshError MESH_POLICY_INVALID with every fault of every file
 */
export async function openPolicyStore(options: PolicyStoreOptions): Promise<PolicyStore> {
  const { dir, log, metrics } = options
  const pollMs = positive('pollMs', options.pollMs ?? 10_000)
  const debounceMs = positive('debounceMs', options.debounceMs ?? 150)
  const listeners = new Set<(snapshot: PolicySnapshot) => void>()

  const first = await readPolicyDirectory(dir)
  const judge = createPolicyJudge(dir)
  // at first an absent directory is an empty one; later it is a fault, since policy does not go by itself
  const opened = first.exists
    ? judge(first, 1)
    : ({ ok: true, snapshot: assemblePolicy([], 1) } as const)
  if (!opened.ok) throw policyInvalid(dir, opened.faults)
  let current = opened.snapshot
  let inForce = first.digest
  let seen = first.digest
  let refused: string | null = null
  let problem: MeshError | null = null
  let unsettled = 0
  let closed = false
  metrics.reload('policy', true, current.generation)
  report()

  async function check(): Promise<void> {
    const raw = await readPolicyDirectory(dir)
    if (closed) return
    if (raw.digest !== seen && unsettled < MAX_UNSETTLED) {
      // half-written files announce themselves too: believed once two readings agree
      seen = raw.digest
      unsettled += 1
      return hint()
    }
    seen = raw.digest
    unsettled = 0
    if (raw.digest === inForce) return recovered()
    if (raw.digest === refused) return
    const next = judge(raw, current.generation + 1)
    if (next.ok && lacksGlobal(next.snapshot)) keepLastGood(globalGone(dir), raw.digest)
    else if (next.ok) adopt(next.snapshot, raw.digest)
    else keepLastGood(policyInvalid(dir, next.faults), raw.digest)
  }

  function adopt(next: PolicySnapshot, digest: string): void {
    current = next
    inForce = digest
    refused = null
    problem = null
    metrics.reload('policy', true, next.generation)
    report()
    for (const listener of [...listeners]) {
      try {
        listener(next)
      } catch (error) {
        // one listener that fails must not keep the news from the others
        log.error({ err: error }, 'a listener to policy failed')
      }
    }
  }

  /** A file that vanishes takes its deny rules with it: that would open what was closed. An empty directory closes everything. */
  function lacksGlobal(next: PolicySnapshot): boolean {
    const had = current.files.includes(GLOBAL_FILE)
    return had && next.files.length > 0 && !next.files.includes(GLOBAL_FILE)
  }

  function keepLastGood(error: MeshError, digest: string): void {
    refused = digest
    problem = error
    metrics.reload('policy', false, current.generation)
    const fields = { dir, code: error.code, hint: error.hint, generation: current.generation }
    log.warn(fields, `policy was not reloaded, the last good one stays: ${error.message}`)
  }

  function recovered(): void {
    refused = null
    if (problem === null) return
    problem = null
    metrics.reload('policy', true, current.generation)
    log.info({ dir, generation: current.generation }, 'policy is good again, and the same')
  }

  function readiness(): PolicyReadiness {
    const ready = current.files.length > 0
    return { ready, reason: ready ? null : `there is no policy in ${dir}; nothing is allowed` }
  }

  function report(): void {
    const { generation, tenants } = current
    const fields = { dir, generation, tenants: tenants.size }
    const { reason } = readiness()
    if (reason === null) log.info(fields, 'policy is loaded')
    else log.warn(fields, reason)
  }

  // single flight: a check asked for while one runs begins when that one has ended
  let running: Promise<void> | null = null
  let again = false
  function run(): void {
    if (closed) return
    if (running !== null) {
      again = true
      return
    }
    running = check()
      .then(() => watcher.follow())
      .catch((error: unknown) => log.error({ err: error }, 'policy could not be checked'))
      .finally(() => {
        running = null
        if (!again) return
        again = false
        run()
      })
  }

  let timer: NodeJS.Timeout | null = null
  function hint(): void {
    if (closed || timer !== null) return
    timer = setTimeout(() => {
      timer = null
      run()
    }, debounceMs).unref()
  }

  const watcher = watchDirectory(dir, hint)
  await watcher.follow()
  // what happened between the first reading and the watching
  hint()
  const poll = setInterval(run, pollMs).unref()

  return Object.freeze({
    current: () => current,
    onChange(listener: (snapshot: PolicySnapshot) => void) {
      // its own function, so that the same listener given twice is two listeners
      const own = (snapshot: PolicySnapshot) => listener(snapshot)
      listeners.add(own)
      return () => {
        listeners.delete(own)
      }
    },
    readiness,
    problem: () => problem,
    async close() {
      closed = true
      clearInterval(poll)
      if (timer !== null) clearTimeout(timer)
      listeners.clear()
      watcher.close()
      await running
    },
  })
}

function positive(option: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new TypeError(`${option}: must be a positive number of milliseconds`)
}

function globalGone(dir: string): MeshError {
  return new MeshError('MESH_POLICY_INVALID', `${GLOBAL_FILE} has gone from ${dir}`, {
    hint: `put it back; to lift what it denies, make it {}`,
  })
}
