/**
 * A watched identity. Read everything, prove it, swap one snapshot, tell the listeners; if any step fails the last good
 * one stays, and is warned of once. Never publishes half of an identity, and never another one than it began with.
 */
import { MeshError } from '@clawmesh/proto'
import { type Log, silentLog } from '../log.ts'
import { walkTrail } from './link-trail.ts'
import { type LoadIdentityOptions, proveIdentity } from './load-identity.ts'
import { readIdentityFiles } from './read-files.ts'
import type { IdentitySnapshot, IdentityStore, ReloadOutcome } from './snapshot.ts'
import { createTrailWatcher } from './watch-trail.ts'

export interface OpenIdentityOptions extends LoadIdentityOptions {
  /** Holds `tls.crt`, `tls.key` and `ca.crt`. */
  readonly dir: string
  /** How often the files are read and compared, whatever the watcher says, in milliseconds. Default 10 000. */
  readonly pollMs?: number
  /** How long to wait for a burst of changes to end, in milliseconds. Default 150. */
  readonly debounceMs?: number
  /** Default: says nothing. */
  readonly log?: Log
}

/** A burst of changes that does not end is read all the same after so many debounce times. */
const MAX_DEBOUNCES = 5

/**
 * Loads the identity in a directory and keeps it current.
 * @throws MeshError as `loadIdentity` does, if the first load fails
 * @example
 * const store = await openIdentity({ dir: '/etc/mesh', spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }) })
 * store.current().identity.id // spiffe://mesh.internal/tenant/acme/agent/planner
 */
export async function openIdentity(options: OpenIdentityOptions): Promise<IdentityStore> {
  const { dir, spiffe, now = Date.now, log = silentLog } = options
  const pollMs = positive('pollMs', options.pollMs ?? 10_000)
  const debounceMs = positive('debounceMs', options.debounceMs ?? 150)

  const first = await readIdentityFiles(dir)
  let current = await proveIdentity(first, { spiffe, now, generation: 1 })
  let goodDigest = first.digest
  let problem: string | null = null
  let outcome: ReloadOutcome = Object.freeze({ ok: true, at: new Date(now()), error: null })
  let overdue = 0
  let closed = false
  const changes = new Set<(snapshot: IdentitySnapshot) => void>()
  const reloads = new Set<(outcome: ReloadOutcome) => void>()

  function tell<T>(listeners: ReadonlySet<(value: T) => void>, value: T): void {
    for (const listener of [...listeners]) {
      try {
        listener(value)
      } catch (error) {
        // one listener that fails must not keep the news from the others
        log.error({ err: error }, 'a listener to the identity failed')
      }
    }
  }

  function report(error: MeshError | null): void {
    outcome = Object.freeze({ ok: error === null, at: new Date(now()), error })
    tell(reloads, outcome)
  }

  async function load(): Promise<void> {
    let digest = ''
    try {
      const files = await readIdentityFiles(dir)
      digest = files.digest
      if (digest === goodDigest) return recovered()
      const next = await proveIdentity(files, { spiffe, now, generation: current.generation + 1 })
      if (closed) return
      checkSameIdentity(current, next)
      current = next
      goodDigest = digest
      problem = null
      log.info(describe(next), 'the identity was reloaded')
      tell(changes, next)
      report(null)
    } catch (error) {
      if (!closed) keepLastGood(digest, error)
    }
  }

  function recovered(): void {
    if (problem === null || closed) return
    problem = null
    log.info(describe(current), 'the identity files are good again, and the same')
    report(null)
  }

  function keepLastGood(digest: string, cause: unknown): void {
    const error =
      cause instanceof MeshError
        ? cause
        : new MeshError('MESH_IDENTITY_INVALID', undefined, { cause })
    const seen = `${digest} ${error.code} ${error.message}`
    if (seen === problem) return
    problem = seen
    const fields = { dir, code: error.code, hint: error.hint, ...describe(current) }
    log.warn(fields, `the identity was not reloaded, the last good one stays: ${error.message}`)
    report(error)
  }

  function warnWhenOverdue(): void {
    if (overdue === current.generation || now() <= current.notAfter.getTime()) return
    overdue = current.generation
    log.error(describe(current), 'the certificate has expired and was not renewed')
  }

  // single flight: a check asked for while one runs begins when that one has ended
  let running: Promise<void> | null = null
  let again = false
  function check(): void {
    if (closed) return
    if (running !== null) {
      again = true
      return
    }
    running = load()
      .then(() => walkTrail(dir))
      .then((trail) => watcher.follow(trail))
      .catch((error: unknown) => log.error({ err: error }, 'the identity could not be checked'))
      .finally(() => {
        running = null
        if (!again) return
        again = false
        check()
      })
  }

  let burst: { timer: NodeJS.Timeout; readonly since: number } | null = null
  function hint(): void {
    if (closed) return
    const since = burst?.since ?? performance.now()
    if (burst !== null) {
      if (performance.now() - since > debounceMs * MAX_DEBOUNCES) return
      clearTimeout(burst.timer)
    }
    const timer = setTimeout(() => {
      burst = null
      check()
    }, debounceMs)
    burst = { timer: timer.unref(), since }
  }

  const watcher = createTrailWatcher({
    onHint: hint,
    onError: (error) => log.debug({ err: error }, 'watching failed, polling goes on'),
  })
  watcher.follow(await walkTrail(dir))
  const poll = setInterval(() => {
    warnWhenOverdue()
    check()
  }, pollMs).unref()

  return Object.freeze({
    current: () => current,
    onChange: (listener: (snapshot: IdentitySnapshot) => void) => subscribe(changes, listener),
    lastReload: () => outcome,
    onReload: (listener: (outcome: ReloadOutcome) => void) => subscribe(reloads, listener),
    async close() {
      closed = true
      clearInterval(poll)
      if (burst !== null) clearTimeout(burst.timer)
      changes.clear()
      reloads.clear()
      await watcher.close()
      await running
    },
  })
}

function subscribe<T>(listeners: Set<(value: T) => void>, listener: (value: T) => void) {
  // its own function, so that the same listener given twice is two listeners
  const own = (value: T) => listener(value)
  listeners.add(own)
  return () => {
    listeners.delete(own)
  }
}

function checkSameIdentity(current: IdentitySnapshot, next: IdentitySnapshot): void {
  if (current.identity.id === next.identity.id) return
  throw new MeshError(
    'MESH_IDENTITY_INVALID',
    `the new certificate is for ${next.identity.id}, this process runs as ${current.identity.id}`,
    { hint: 'to become someone else, restart' },
  )
}

function describe({ generation, identity, fingerprint, notAfter }: IdentitySnapshot): object {
  return { identity: identity.id, generation, fingerprint, not_after: notAfter.toISOString() }
}

function positive(option: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value
  throw new TypeError(`${option}: must be a positive number of milliseconds`)
}
