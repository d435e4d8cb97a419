/** The policy in force: swaps snapshots, notifies listeners, and logs each fault of a file once. */
import { createListeners, type Listeners, type Log } from '@clawmesh/agent-sdk/mesh'
import { type MeshError, printable } from '@clawmesh/proto'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { plural } from '../text/plural.ts'
import { assemblePolicy, type CompiledFile, tenantsOf } from './compile/compile.ts'
import { formatFault, policyInvalid } from './read/fault.ts'
import type { PolicyFault } from './read/fault-shape.ts'
import type { FilesInForce, PolicyProblem } from './read/files-in-force.ts'
import type { PolicySnapshot } from './snapshot.ts'

export interface PolicyInForceOptions {
  readonly dir: string
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload' | 'brokenPolicy'>
}

/** Maximum log lines about ignored files. */
const SHOWN = 20

export class PolicyInForce {
  readonly #options: PolicyInForceOptions
  readonly #listeners: Listeners<PolicySnapshot>
  #files: ReadonlyMap<string, CompiledFile> = new Map()
  #current = assemblePolicy([], 1)
  #problems: readonly PolicyProblem[] = []
  #told = '[[],[]]'

  constructor(options: PolicyInForceOptions) {
    this.#options = options
    this.#listeners = createListeners((error) =>
      options.log.error({ err: error }, 'a listener to policy failed'),
    )
  }

  get files(): ReadonlyMap<string, CompiledFile> {
    return this.#files
  }

  get current(): PolicySnapshot {
    return this.#current
  }

  get problems(): readonly PolicyProblem[] {
    return this.#problems
  }

  problem(): MeshError | null {
    return this.#problems.length === 0 ? null : invalid(this.#options.dir, this.#problems)
  }

  /** Null when there is a policy. */
  nothing(): string | null {
    const none = this.#files.size === 0
    return none ? `there is no policy in ${this.#options.dir}; nothing is allowed` : null
  }

  onChange(listener: (snapshot: PolicySnapshot) => void): () => void {
    return this.#listeners.add(listener)
  }

  close(): void {
    this.#listeners.clear()
  }

  begin(first: FilesInForce, ignored: readonly PolicyFault[]): void {
    this.#put(first, 1)
    this.#report()
    this.#tell(first.problems, ignored, true)
  }

  adopt(next: FilesInForce, ignored: readonly PolicyFault[]): void {
    const { closed } = this.#current
    const changed =
      !sameFiles(this.#files, next.files) ||
      closed.symmetricDifference(tenantsOf(closedBy(next))).size > 0
    if (changed) {
      const gone = [...this.#files.keys()].filter((name) => !next.files.has(name))
      this.#put(next, this.#current.generation + 1)
      this.#report()
      this.#sayGone(gone)
      this.#listeners.tell(this.#current)
    }
    this.#tell(next.problems, ignored, changed)
  }

  #put(next: FilesInForce, generation: number): void {
    this.#files = next.files
    const sorted = [...next.files.values()].toSorted((a, b) => (a.file < b.file ? -1 : 1))
    this.#current = assemblePolicy(sorted, generation, closedBy(next))
  }

  #report(): void {
    const { dir, log } = this.#options
    const { generation, tenants } = this.#current
    const fields = { dir, generation, tenants: tenants.size }
    const nothing = this.nothing()
    if (nothing === null) log.info(fields, 'policy is loaded')
    else log.warn(fields, nothing)
  }

  /** Warns that the removal of a file removes all permissions of its tenant. */
  #sayGone(files: readonly string[]): void {
    if (files.length === 0 || this.#files.size === 0) return
    const { dir, log } = this.#options
    const fields = { dir, files: files.slice(0, SHOWN), generation: this.#current.generation }
    log.warn(fields, `policy: ${named(files)} has gone; nothing is allowed to its tenant any more`)
  }

  /** Logs one warning for each new state of the broken files, and one line for each ignored file. */
  #tell(found: readonly PolicyProblem[], ignored: readonly PolicyFault[], swapped: boolean): void {
    const { dir, log, metrics } = this.#options
    const { generation } = this.#current
    const broken = new Set(found.map(({ file }) => file))
    const mended = this.#problems.filter(({ file }) => !broken.has(file))
    this.#problems = found
    metrics.brokenPolicy(found.map(({ file }) => file))
    const now = JSON.stringify([found.map(summaryOf), ignored])
    const news = now !== this.#told
    this.#told = now
    if (swapped || news) metrics.reload('policy', found.length === 0, generation)
    if (!news) return
    for (const fault of ignored.slice(0, SHOWN)) log.warn({ dir }, `policy: ${formatFault(fault)}`)
    if (mended.length > 0) {
      const which = broken.size === 0 ? 'every file' : named(mended.map(({ file }) => file))
      log.info({ dir, generation }, `policy: ${which} is good again`)
    }
    if (found.length === 0) return
    const error = invalid(dir, found)
    const { code, hint } = error
    const files = found.slice(0, SHOWN).map(({ file }) => file)
    const fields = { dir, files, code, hint, generation }
    log.warn(fields, `policy was not taken over whole. ${consequences(found)}. ${error.message}`)
  }
}

/** A sentence for each broken file, for /ready and the status page; many of them are only counted. */
export function policyProblems(problems: readonly PolicyProblem[]) {
  const told = problems.slice(0, SHOWN).map((problem) => {
    const [first] = problem.faults
    const faults = plural(problem.faults.length, 'fault')
    const why = first === undefined ? '' : `, first ${formatFault(first)}`
    return { what: 'policy', reason: `${consequences([problem])}: ${faults}${why}` }
  })
  const more = problems.length - told.length
  return more === 0 ? told : [...told, { what: 'policy', reason: `${more} more files are broken` }]
}

/** A sentence about what is in force in place of the broken files. */
export function consequences(problems: readonly PolicyProblem[]): string {
  const kept = problems.filter((one) => one.kept).map(({ file }) => file)
  const closed = problems.filter((one) => !one.kept).map(({ file }) => file)
  const parts = [
    ...(kept.length === 0 ? [] : [`of ${named(kept)} the last good one stays`]),
    ...(closed.length === 0 ? [] : [`${named(closed)} was never good, and allows nothing`]),
  ]
  return parts.join('; ')
}

/** Broken files that never were good. */
function closedBy({ problems }: FilesInForce): string[] {
  return problems.filter(({ kept }) => !kept).map(({ file }) => file)
}

/** Enough to tell two states of a file apart; a file may have many faults. */
function summaryOf({ file, faults, kept }: PolicyProblem) {
  return [file, kept, faults.length, faults[0]]
}

function named(files: readonly string[]): string {
  const more = files.length > SHOWN ? ` and ${files.length - SHOWN} more` : ''
  return printable(`${files.slice(0, SHOWN).join(', ')}${more}`)
}

function invalid(dir: string, problems: readonly PolicyProblem[]): MeshError {
  return policyInvalid(
    dir,
    problems.flatMap(({ faults }) => faults),
  )
}

function sameFiles(
  a: ReadonlyMap<string, CompiledFile>,
  b: ReadonlyMap<string, CompiledFile>,
): boolean {
  return a.size === b.size && b.entries().every(([name, file]) => a.get(name) === file)
}
