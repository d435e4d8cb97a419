/**
 * Tells when something happens in the directories of a trail. A hint, not a promise: the poll of follow.ts is the guarantee,
 * since events are lost on NFS, in Docker Desktop and where the limit of watches is reached.
 */
import { type FSWatcher, watch } from 'node:fs'
import { join } from 'node:path'
import type { Disk } from './disk.ts'
import { type LinkTrail, type TrailStart, walkTrail } from './link-trail.ts'

export interface TrailWatcher {
  /** Looks again where the links lead: at once when something may have changed, else now and then. Never rejects. */
  follow(changed: boolean): Promise<void>
  close(): void
}

export interface TrailWatcherOptions {
  readonly start: TrailStart
  readonly disk: Disk
  /** Bounds the time that a walk along the links takes. */
  readonly walk: (work: () => Promise<LinkTrail>) => Promise<LinkTrail>
  /** Something happened, or may have before a new watch stood; called often. */
  readonly onHint: () => void
  readonly onError: (error: unknown) => void
}

/** While nothing changes the links are looked at no more often, in milliseconds: polls come twice a second. */
const WALK_MS = 10_000

export function createTrailWatcher(options: TrailWatcherOptions): TrailWatcher {
  const { onHint, onError } = options
  const watchers = new Map<string, FSWatcher>()
  let current: LinkTrail | null = null
  let walkedMs = -Infinity
  let closed = false

  /** A parent may be /tmp: only what is on the trail is looked at. */
  function matters(directory: string, name: string | null): boolean {
    if (current === null || name === null || current.whole.has(directory)) return true
    return current.entries.has(join(directory, name))
  }

  function open(key: string, directory: string): boolean {
    try {
      // the watch alone is no reason for a process to go on
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        if (matters(directory, name)) onHint()
      })
      watcher.on('error', (error) => {
        drop(key)
        onError(error)
      })
      watchers.set(key, watcher)
      return true
    } catch (error) {
      // gone again, or the limit of watches is reached
      onError(error)
      return false
    }
  }

  function drop(key: string): void {
    watchers.get(key)?.close()
    watchers.delete(key)
  }

  function adopt(trail: LinkTrail): void {
    current = trail
    for (const key of [...watchers.keys()]) if (!trail.directories.has(key)) drop(key)
    let opened = false
    for (const [key, directory] of trail.directories)
      if (!watchers.has(key)) opened = open(key, directory) || opened
    if (opened) onHint()
  }

  return {
    async follow(changed) {
      const nowMs = performance.now()
      if (!changed && nowMs - walkedMs < WALK_MS) return
      walkedMs = nowMs
      try {
        const trail = await options.walk(() => walkTrail(options.start, options.disk))
        if (!closed) adopt(trail)
      } catch (error) {
        if (!closed) onError(error)
      }
    },
    close() {
      closed = true
      for (const key of [...watchers.keys()]) drop(key)
    },
  }
}
