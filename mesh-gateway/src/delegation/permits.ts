/**
 * The permits that one call holds (places under limits). Each is released once when the call ends, also one that is
 * granted later.
 */
import { MeshError } from '@clawmesh/proto'
import type { Release } from '../limits/limits.ts'

export interface Permits {
  /** @throws MeshError MESH_CALL_CANCELED when the call has ended; the permit is released at once */
  hold(release: Release): void
  /** A signal that aborts when the call ends. */
  gone(): AbortSignal
  end(): void
}

export function createPermits(): Permits {
  let releases: Release[] | null = []
  // created on demand: most calls never wait
  let going: AbortController | null = null
  return {
    hold(release) {
      if (releases !== null) {
        releases.push(release)
        return
      }
      release()
      throw new MeshError('MESH_CALL_CANCELED')
    },
    gone() {
      going ??= new AbortController()
      if (releases === null) going.abort()
      return going.signal
    },
    end() {
      const held = releases ?? []
      releases = null
      for (const release of held) release()
      going?.abort()
    },
  }
}
