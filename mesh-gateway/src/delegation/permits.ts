/** What one call occupies: it is given back once, when the call ends, also what is granted only then. */
import { MeshError } from '@clawmesh/proto'
import type { Leave } from '../limits/limits.ts'

export interface Stay {
  /** @throws MeshError MESH_CALL_CANCELED when the call has ended; then it is given back at once */
  hold(leave: Leave): void
  /** Aborts with the end. */
  gone(): AbortSignal
  end(): void
}

export function createStay(): Stay {
  let leaves: Leave[] | null = []
  // most calls never wait
  let going: AbortController | null = null
  return {
    hold(leave) {
      if (leaves !== null) {
        leaves.push(leave)
        return
      }
      leave()
      throw new MeshError('MESH_CALL_CANCELED')
    },
    gone() {
      going ??= new AbortController()
      if (leaves === null) going.abort()
      return going.signal
    },
    end() {
      const held = leaves ?? []
      leaves = null
      for (const leave of held) leave()
      going?.abort()
    },
  }
}
