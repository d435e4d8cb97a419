/** A watched identity, by the follower of files. Never publishes half of an identity, and never another one than it began with. */
import { join } from 'node:path'
import { MeshError } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { Disk } from '../files/disk.ts'
import { describeFileFault, isUnanswered } from '../files/file-fault.ts'
import { type FollowOutcome, type FollowWords, followFiles } from '../files/follow.ts'
import { type Log, silentLog } from '../log.ts'
import type { IdentitySnapshot, IdentityStore, ReloadOutcome } from '../tls/identity-snapshot.ts'
import { createExpiryWatch, describe } from './expiry-watch.ts'
import { type LoadIdentityOptions, proveIdentity } from './load-identity.ts'
import { IDENTITY_FILES, type IdentityFiles, readIdentityFiles } from './read-files.ts'

export interface OpenIdentityOptions extends LoadIdentityOptions {
  /** Holds `tls.crt`, `tls.key` and `ca.crt`. */
  readonly dir: string
  /** How often the files are read and compared, whatever the watcher says, in milliseconds. Default 10 000. */
  readonly pollMs?: number
  /** How long to wait for a burst of changes to end, in milliseconds. Default 150. */
  readonly debounceMs?: number
  /** Shared by all that follow files in a process. Default: its own. */
  readonly disk?: Disk
  /** Default: says nothing. */
  readonly log?: Log
}

const NAMES = optionNames<OpenIdentityOptions>({
  dir: true,
  spiffe: true,
  now: true,
  pollMs: true,
  debounceMs: true,
  disk: true,
  log: true,
})

/**
 * Loads the identity in a directory and keeps it current.
 * @throws MeshError as `loadIdentity` does, if the first load fails; TypeError for an option that there is not
 * @example
 * import { openIdentity } from '@clawmesh/agent-sdk/mesh'
 * import { createSpiffeTemplate } from '@clawmesh/proto'
 *
 * const store = await openIdentity({ dir: '/etc/mesh', spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }) })
 * console.log(store.current().identity.id) // spiffe://mesh.internal/tenant/acme/agent/planner
 */
export async function openIdentity(options: OpenIdentityOptions): Promise<IdentityStore> {
  checkOptions(options, NAMES, 'openIdentity')
  const { dir, spiffe, now = Date.now, log = silentLog, pollMs = 10_000 } = options
  let current: IdentitySnapshot | null = null
  const prove = async (files: IdentityFiles) => {
    const generation = (current?.generation ?? 0) + 1
    const next = await proveIdentity(files, { spiffe, now, generation })
    if (current !== null) checkSameIdentity(current, next)
    return next
  }
  const followed = await followFiles<IdentitySnapshot>({
    what: 'the identity',
    files: IDENTITY_FILES.map((name) => join(dir, name)),
    async read(disk) {
      const files = await readIdentityFiles(dir, disk)
      return { digest: files.digest, parse: () => prove(files) }
    },
    pollMs,
    debounceMs: options.debounceMs,
    disk: options.disk,
    log,
    now,
    say: words(dir, log),
  })
  current = followed.current()
  followed.onChange((next) => {
    current = next
  })
  const watch = createExpiryWatch(log)
  watch.look(followed.current(), now())
  const clock = setInterval(() => watch.look(followed.current(), now()), pollMs).unref()

  return Object.freeze({
    current: () => followed.current(),
    onChange: (listener: (snapshot: IdentitySnapshot) => void) => followed.onChange(listener),
    reload: () => followed.reload(),
    lastReload: () => toOutcome(followed.lastReload()),
    onReload: (listener: (outcome: ReloadOutcome) => void) =>
      followed.onReload((outcome) => listener(toOutcome(outcome))),
    async close() {
      clearInterval(clock)
      await followed.close()
    },
  })
}

function words(dir: string, log: Log): FollowWords<IdentitySnapshot> {
  return {
    reloaded: (next, after) => {
      const again = after === null ? '' : 'is good again, and '
      log.info(describe(next), `the identity ${again}was reloaded`)
    },
    recovered: (current) =>
      log.info(describe(current), 'the identity files are good again, and the same'),
    kept(cause, current) {
      const error = toMeshError(cause)
      const fields = { dir, code: error.code, hint: error.hint, ...describe(current) }
      log.warn(fields, `the identity was not reloaded, the last good one stays: ${error.message}`)
    },
  }
}

function toOutcome({ ok, at, error }: FollowOutcome): ReloadOutcome {
  return Object.freeze({ ok, at, error: error === null ? null : toMeshError(error) })
}

function toMeshError(cause: unknown): MeshError {
  if (cause instanceof MeshError) return cause
  if (isUnanswered(cause)) {
    const message = `cannot read the identity: ${describeFileFault(cause)}`
    return new MeshError('MESH_IDENTITY_UNREADABLE', message, { cause })
  }
  return new MeshError('MESH_IDENTITY_INVALID', undefined, { cause })
}

function checkSameIdentity(current: IdentitySnapshot, next: IdentitySnapshot): void {
  if (current.identity.id === next.identity.id) return
  throw new MeshError(
    'MESH_IDENTITY_INVALID',
    `the new certificate is for ${next.identity.id}, this process runs as ${current.identity.id}`,
    { hint: 'to become someone else, restart' },
  )
}
