/**
 * Tells when something happens to a directory: in it, to it, or to the links that lead to it (`..data` of Kubernetes,
 * `current -> releases/7`). A hint, not a promise: the poll of policy-store.ts is the guarantee.
 */
import { type FSWatcher, watch } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Disk } from '@clawmesh/agent-sdk/mesh'

export interface DirectoryWatcher {
  /** Looks again where the links lead. Call it after each reading. */
  follow(): Promise<void>
  close(): void
}

/** @param onHint something happened; called often */
export function watchDirectory(dir: string, disk: Disk, onHint: () => void): DirectoryWatcher {
  const watchers = new Map<string, FSWatcher>()
  let closed = false

  function open(key: string, directory: string, entry: string | null): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        // a parent may be /tmp: only the entry that leads here is looked at
        if (entry === null || name === null || name === entry) onHint()
      })
      watcher.on('error', () => drop(key))
      watchers.set(key, watcher)
    } catch {
      // no watch to be had (gone again, or the limit of watches is reached): the poll sees it
    }
  }

  function drop(key: string): void {
    watchers.get(key)?.close()
    watchers.delete(key)
  }

  return {
    async follow() {
      // a disk that does not answer: what is watched stays watched
      const wanted = await disk
        .run(path.join(dir, '.'), () => placesOf(path.resolve(dir)))
        .catch(() => null)
      if (closed || wanted === null) return
      for (const key of watchers.keys()) if (!wanted.has(key)) drop(key)
      for (const [key, { directory, entry }] of wanted)
        if (!watchers.has(key)) open(key, directory, entry)
    },
    close() {
      closed = true
      for (const key of [...watchers.keys()]) drop(key)
    },
  }
}

interface Place {
  readonly directory: string
  /** Null: whatever happens in it. */
  readonly entry: string | null
}

/** By a key that changes when a directory is replaced by another of the same name. */
async function placesOf(dir: string): Promise<Map<string, Place>> {
  const real = await realpath(dir).catch(() => dir)
  const data = await realpath(path.join(real, '..data')).catch(() => real)
  const places = new Map<string, Place>()
  for (const directory of new Set([real, data])) await note(places, { directory, entry: null })
  for (const link of new Set([dir, real]))
    await note(places, { directory: path.dirname(link), entry: path.basename(link) })
  return places
}

async function note(places: Map<string, Place>, place: Place): Promise<void> {
  try {
    const { dev, ino } = await stat(place.directory)
    places.set(`${dev}:${ino}:${place.directory}:${place.entry ?? ''}`, place)
  } catch {
    // not there yet: its parent or the poll will see it come
  }
}
