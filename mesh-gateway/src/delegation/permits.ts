/** The permits that one call holds (places under limits). Each is given back once, when the call ends, also one that is granted only then. */
import { MeshError } from '@clawmesh/proto'
import type { Release } from '../limits/limits.ts'

export interface Permits {
  /** @throws MeshError MESH_CALL_CANCELED when the call has ended; then it is given back at once */
  hold(release: Release): void
  /** Aborts with the end. */
  gone(): AbortSignal
  end(): void
}

export function createPermits(): Permits {
  let releases: Release[] | null = []
  // most calls never wait
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
