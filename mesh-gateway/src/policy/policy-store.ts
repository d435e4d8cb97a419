/**
 * Loads policy and reloads it on change (hot reload). Each file is validated and takes effect on its own: a broken file
 * keeps its last good version, and the others go on. A thread parses files, and they are compiled in slices, so that
 * none delays traffic.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Disk, type Log, singleFlight } from '@clawmesh/agent-sdk/mesh'
import type { MeshError } from '@clawmesh/proto'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { PolicyInForce } from './policy-in-force.ts'
import { createDocumentParser, type DocumentParserOptions } from './read/document-parser.ts'
import { policyInvalid } from './read/fault.ts'
import { createFileJudge, type FileJudge, type JudgedFile } from './read/file-judge.ts'
import { filesInForce, type PolicyProblem } from './read/files-in-force.ts'
import { concernsAll } from './read/load-policy.ts'
import {
  createPolicyDisks,
  type PolicyPlaces,
  type RawDirectory,
  readPolicyDirectory,
} from './read/read-directory.ts'
import { createSettled, type Settled } from './read/settled.ts'
import { watchDirectory } from './read/watch-directory.ts'
import type { PolicySnapshot } from './snapshot.ts'

export interface PolicyStoreOptions extends PolicyPlaces {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload' | 'brokenPolicy'>
  /** The polling interval, independent of file watching, in milliseconds. Default 10 000. */
  readonly pollMs?: number
  /** Debounce: how long the content must stay the same before it is used, in milliseconds. Default 150. */
  readonly debounceMs?: number
  /** The queue of disk operations on the operator's directory. Default: its own; tenants' directories have another. */
  readonly disk?: Disk
  /** Options of the parsing thread. */
  readonly parser?: DocumentParserOptions
}

export interface PolicyReadiness {
  /** False while there is no policy at all, so nothing is allowed. */
  readonly ready: boolean
  readonly reason: string | null
}

export interface PolicyStore {
  /** The last good version of each file; never null. */
  current(): PolicySnapshot
  /** Called after each swap. Returns the function that unsubscribes. */
  onChange(listener: (snapshot: PolicySnapshot) => void): () => void
  readiness(): PolicyReadiness
  /** Files whose version on disk is not in force; empty when there are none. */
  problems(): readonly PolicyProblem[]
  /** All `problems` in one error; null when there are none. */
  problem(): MeshError | null
  /** Reads policy now. Resolves once what is on disk is in force, or among the `problems`. */
  reload(): Promise<void>
  close(): Promise<void>
}

/** The time limit of one round, in milliseconds; the next round reads again and takes the rest. */
const ROUND_MS = 1_000
/** After so many readings `reload` waits no longer for files that keep changing. */
const MOST_READINGS = 20

/**
 * Opens policy. A missing or empty directory gives a snapshot that allows nothing, and a broken tenant's file one that
 * allows its tenant nothing.
 * @throws MeshError MESH_POLICY_INVALID with every fault of every file, when `_global.json` or a directory is faulty
 */
export async function openPolicyStore(options: PolicyStoreOptions): Promise<PolicyStore> {
  const { dir, tenantDirs = null } = options
  const pollMs = positive('pollMs', options.pollMs ?? 10_000)
  const debounceMs = positive('debounceMs', options.debounceMs ?? 150)
  const parser = createDocumentParser(options.parser)
  const judge = createFileJudge(parser)
  const settled = createSettled()
  const inForce = new PolicyInForce(options)
  const disks = createPolicyDisks(options.disk)
  const closing = new AbortController()
  const read = () => readPolicyDirectory({ dir, tenantDirs }, disks)
  const { signal } = closing

  await begin(await read(), { judge, settled, inForce, dir, signal }).catch(async (error) => {
    await parser.close()
    throw error
  })

  const flight = singleFlight(async (): Promise<Outcome> => {
    try {
      const raw = await read()
      if (signal.aborted) return 'done'
      const outcome = await takeOver(raw, { judge, settled, inForce, dir, signal })
      await Promise.all(watchers.map((watcher) => watcher.follow()))
      if (outcome === 'unsettled') hint()
      if (outcome === 'unfinished' && !signal.aborted) void flight.now()
      return outcome
    } catch (error) {
      if (!signal.aborted) options.log.error({ err: error }, 'policy could not be checked')
      return 'done'
    }
  })

  const run = () => {
    if (!signal.aborted) void flight.now()
  }
  let timer: NodeJS.Timeout | null = null
  function hint(): void {
    if (signal.aborted || timer !== null) return
    timer = setTimeout(() => {
      timer = null
      run()
    }, debounceMs).unref()
  }

  const watchers = [watchDirectory(dir, disks.own, hint)]
  if (tenantDirs !== null) watchers.push(watchDirectory(tenantDirs, disks.tenants, hint))
  await Promise.all(watchers.map((watcher) => watcher.follow()))
  // covers changes between the first reading and the start of the watch
  hint()
  const poll = setInterval(run, pollMs).unref()

  return Object.freeze({
    current: () => inForce.current,
    onChange: (listener: (snapshot: PolicySnapshot) => void) => inForce.onChange(listener),
    readiness: () => ({ ready: inForce.nothing() === null, reason: inForce.nothing() }),
    problems: () => inForce.problems,
    problem: () => inForce.problem(),
    async reload() {
      for (let readings = 1; (await flight.now()) !== 'done'; readings += 1) {
        if (signal.aborted || readings >= MOST_READINGS) return
        await delay(debounceMs, null, { ref: false })
      }
    },
    async close() {
      closing.abort()
      clearInterval(poll)
      if (timer !== null) clearTimeout(timer)
      inForce.close()
      for (const watcher of watchers) watcher.close()
      await parser.close()
      await flight.idle()
    },
  })
}

interface Parts {
  readonly dir: string
  readonly judge: FileJudge
  readonly settled: Settled
  readonly inForce: PolicyInForce
  readonly signal: AbortSignal
}

/**
 * At the start nothing is in force: the operator's files must be valid, and a tenant's broken file closes that tenant
 * only.
 */
async function begin(raw: RawDirectory, parts: Parts): Promise<void> {
  const { judge, settled, inForce, dir, signal } = parts
  settled.begin(raw)
  const judged = new Map<string, JudgedFile>()
  for (const file of judge.inOrder(raw.files))
    judged.set(file.name, await judge.judge(file, signal))
  // at the start a missing directory counts as empty; later it is a fault, since a policy is not removed that way
  const found = filesInForce(new Map(), raw.absent ? { ...raw, problem: null } : raw, judged)
  const faults = found.problems.flatMap((problem) => problem.faults)
  if (faults.some(concernsAll)) throw policyInvalid(dir, faults)
  inForce.begin(found, raw.ignored)
}

/** `unsettled`: read again after a moment. `unfinished`: continue at once with any later changes. */
type Outcome = 'done' | 'unsettled' | 'unfinished'

async function takeOver(
  raw: RawDirectory,
  { judge, settled, inForce, signal }: Parts,
): Promise<Outcome> {
  // half-written files cause events too: content is used once two readings agree
  const believed = settled.believed(raw)
  if (believed === null) return 'unsettled'
  const judged = new Map<string, JudgedFile>()
  const startMs = performance.now()
  let finished = true
  for (const file of judge.inOrder(believed.files)) {
    // slow files must not delay a new `_global.json`, which is first in the next round
    const late = performance.now() - startMs > ROUND_MS && judged.size > 0
    const verdict = judge.known(file) ?? (late ? null : await judge.judge(file, signal))
    if (verdict === null) finished = false
    else judged.set(file.name, verdict)
  }
  judge.keepOnly(raw.files)
  if (signal.aborted) return 'done'
  inForce.adopt(filesInForce(inForce.files, believed.raw, judged), raw.ignored)
  if (!finished) return 'unfinished'
  return believed.whole ? 'done' : 'unsettled'
}

function positive(option: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new TypeError(`${option}: must be a positive number of milliseconds`)
}
