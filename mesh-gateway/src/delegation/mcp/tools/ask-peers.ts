/** Asks all peers that policy names the same question. */
import { namedPeers } from '@clawmesh/proto/tools'
import type { ToolCall } from './tool-call.ts'

const MAX_PEERS = 32
/** How long all of them are waited for, in milliseconds. */
const ASK_MS = 5_000

export interface PeerAnswer<T> {
  readonly peer: string
  /** Null when it did not answer, or refused. */
  readonly answer: T | null
}

export async function askPeers<T>(
  call: ToolCall,
  ask: (peer: string) => Promise<T>,
): Promise<readonly PeerAnswer<T>[]> {
  const { peers } = namedPeers(await call.caller.peers(), call.tenant)
  const late = AbortSignal.any([call.cancelled, call.released, AbortSignal.timeout(ASK_MS)])
  const { promise: over, resolve } = Promise.withResolvers<null>()
  if (late.aborted) resolve(null)
  else late.addEventListener('abort', () => resolve(null), { once: true })
  return Promise.all(
    peers.slice(0, MAX_PEERS).map(async ({ peer }) => {
      const asked = ask(peer).catch(() => null)
      return { peer, answer: await Promise.race([asked, over]) }
    }),
  )
}
