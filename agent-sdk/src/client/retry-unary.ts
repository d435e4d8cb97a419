/** Calls that may be repeated, repeated while the connection is at fault. */
import type { MeshError } from '@clawmesh/proto'
import { createBackoff } from './backoff.ts'
import { judgeStreamError } from './lost-stream.ts'

/** @throws MeshError the last one, once `forMs` milliseconds have passed or the answer stands */
export async function retryUnary<T>(
  call: () => Promise<T>,
  options: {
    readonly forMs: number
    readonly signal: AbortSignal
    /** Why a connection was refused lately: then trying again does not help. */
    readonly refusal: () => MeshError | null
  },
): Promise<T> {
  const { forMs, signal, refusal } = options
  const backoff = createBackoff({ maxMs: 1_000 })
  const until = performance.now() + forMs
  for (;;) {
    try {
      return await call()
    } catch (thrown) {
      const { error, lost } = judgeStreamError(thrown, false)
      const refused = error.code === 'MESH_GATEWAY_UNREACHABLE' ? refusal() : null
      if (refused !== null) throw refused
      if (!lost || signal.aborted || performance.now() >= until) throw error
      try {
        await backoff.wait(signal)
      } catch {
        // let go of while waiting: what went wrong before says more than that
        throw error
      }
    }
  }
}
