/**
 * Watches a directory: its entries, the directory itself, and the links that lead to it (`..data` of Kubernetes,
 * `current -> releases/7`). A hint only: the polling of policy-store.ts is the guarantee.
 */
import { type FSWatcher, watch } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Disk } from '@clawmesh/agent-sdk/mesh'

export interface DirectoryWatcher {
  /** Resolves the links again. To be called after each reading. */
  follow(): Promise<void>
  close(): void
}

/** @param onHint called often, after any change */
export function watchDirectory(dir: string, disk: Disk, onHint: () => void): DirectoryWatcher {
  const watchers = new Map<string, FSWatcher>()
  let closed = false

  function open(key: string, directory: string, entry: string | null): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => {
        // a parent may be /tmp: only the entry on the path counts
        if (entry === null || name === null || name === entry) onHint()
      })
      watcher.on('error', () => drop(key))
      watchers.set(key, watcher)
    } catch {
      // without a watch (directory removed, or limit of watches reached) the polling notices changes
    }
  }

  function drop(key: string): void {
    watchers.get(key)?.close()
    watchers.delete(key)
  }

  return {
    async follow() {
      // the disk does not answer: existing watches stay
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
  /** Null: any entry. */
  readonly entry: string | null
}

/** The key changes when another directory of the same name replaces it. */
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
    // does not exist yet: the watch of its parent or the polling will notice it
  }
}
