/**
 * Policy, watched. Each file is proven by itself, and comes into force by itself: of a file that is broken the last good version
 * stays, and all others go on. Files are parsed by a thread and compiled in slices, so that none of them holds up traffic.
 */
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
  /** How often the directories are read and compared, whatever the watching says, in milliseconds. Default 10 000. */
  readonly pollMs?: number
  /** How long the content must stay the same to be believed, in milliseconds. Default 150. */
  readonly debounceMs?: number
  /** Asked for the operator's directory. Default: one of its own; tenants' directories have another. */
  readonly disk?: Disk
  /** Of the thread that parses. */
  readonly parser?: DocumentParserOptions
}

export interface PolicyReadiness {
  /** False while there is no policy at all, and so nothing is allowed. */
  readonly ready: boolean
  readonly reason: string | null
}

export interface PolicyStore {
  /** The last good one of each file; never none. */
  current(): PolicySnapshot
  /** Called after each swap. Returns a function that ends it. */
  onChange(listener: (snapshot: PolicySnapshot) => void): () => void
  readiness(): PolicyReadiness
  /** Files that are not in force as they lie on disk; empty while all are. */
  problems(): readonly PolicyProblem[]
  /** All of `problems` in one error; null while there are none. */
  problem(): MeshError | null
  close(): Promise<void>
}

/** A round of judging ends after so long, and leaves the rest to the next one, which reads again, in milliseconds. */
const ROUND_MS = 1_000

/**
 * Opens policy. A directory that is absent or empty opens with a snapshot that allows nothing, and a tenant's file that is
 * broken with one that allows nothing to its tenant.
 * @throws MeshError MESH_POLICY_INVALID with every fault of every file, when `_global.json` or a directory is at fault
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

  const flight = singleFlight(async () => {
    try {
      const raw = await read()
      if (signal.aborted) return
      const outcome = await takeOver(raw, { judge, settled, inForce, dir, signal })
      await Promise.all(watchers.map((watcher) => watcher.follow()))
      if (outcome === 'unsettled') hint()
      if (outcome === 'unfinished' && !signal.aborted) void flight.now()
    } catch (error) {
      if (!signal.aborted) options.log.error({ err: error }, 'policy could not be checked')
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
  // what happened between the first reading and the watching
  hint()
  const poll = setInterval(run, pollMs).unref()

  return Object.freeze({
    current: () => inForce.current,
    onChange: (listener: (snapshot: PolicySnapshot) => void) => inForce.onChange(listener),
    readiness: () => ({ ready: inForce.nothing() === null, reason: inForce.nothing() }),
    problems: () => inForce.problems,
    problem: () => inForce.problem(),
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

/** Nothing is in force yet: what the operator has written must be right, and what tenants have written closes those alone. */
async function begin(raw: RawDirectory, parts: Parts): Promise<void> {
  const { judge, settled, inForce, dir, signal } = parts
  settled.begin(raw)
  const judged = new Map<string, JudgedFile>()
  for (const file of judge.inOrder(raw.files))
    judged.set(file.name, await judge.judge(file, signal))
  // at first an absent directory is an empty one; later it is a fault, since policy does not go by itself
  const found = filesInForce(new Map(), raw.absent ? { ...raw, problem: null } : raw, judged)
  const faults = found.problems.flatMap((problem) => problem.faults)
  if (faults.some(concernsAll)) throw policyInvalid(dir, faults)
  inForce.begin(found, raw.ignored)
}

/** `unsettled`: read again after a moment. `unfinished`: go on at once with what may have changed meanwhile. */
async function takeOver(
  raw: RawDirectory,
  { judge, settled, inForce, signal }: Parts,
): Promise<'done' | 'unsettled' | 'unfinished'> {
  // half-written files announce themselves too: believed once two readings agree
  const believed = settled.believed(raw)
  if (believed === null) return 'unsettled'
  const judged = new Map<string, JudgedFile>()
  const startMs = performance.now()
  let finished = true
  for (const file of judge.inOrder(believed.files)) {
    // files that take long must not keep a new `_global.json` waiting, which goes first in the next round
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
