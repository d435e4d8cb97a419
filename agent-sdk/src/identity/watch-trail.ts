/**
 * Tells when something happens in the directories of a trail. A hint, not a promise: the poll of open-identity.ts is the
 * guarantee, since events are lost on NFS, in Docker Desktop and where the limit of watches is reached.
 */
import { type FSWatcher, watch } from 'chokidar'
import type { LinkTrail } from './link-trail.ts'

export interface TrailWatcher {
  /** Watches another trail, or the same again if nothing about it has changed. */
  follow(trail: LinkTrail): void
  close(): Promise<void>
}

export interface TrailWatcherOptions {
  /** Something happened; called often. */
  readonly onHint: () => void
  readonly onError: (error: unknown) => void
}

export function createTrailWatcher({ onHint, onError }: TrailWatcherOptions): TrailWatcher {
  let watcher: FSWatcher | null = null
  let key: string | null = null
  let closed = false

  return {
    follow(trail) {
      if (closed || trail.key === key) return
      key = trail.key
      watcher?.close().catch(onError)
      watcher = watch([...trail.directories], {
        depth: 0,
        followSymlinks: false,
        ignoreInitial: true,
        // the store alone is no reason for a process to go on
        persistent: false,
        // a parent may be /tmp: only what is on the trail is looked at
        ignored: (path) => !trail.directories.has(path) && !trail.entries.has(path),
      })
      watcher.on('all', onHint)
      watcher.on('error', onError)
      // what happened before the watches were set
      watcher.on('ready', onHint)
    },
    async close() {
      closed = true
      await watcher?.close()
    },
  }
}
