/**
 * Passes the answer of a peer on to the caller. Node throws for what HTTP forbids, such as two dates; thrown from a listener
 * it would end the process.
 */
import type { ServerHttp2Stream } from 'node:http2'
import { MeshError } from '@clawmesh/proto'
import { errorTrailers } from '../error-trailers.ts'

/** Informational answers (1xx) mean nothing in gRPC. */
export const MAX_INFORMATIONAL = 10
const WITH_TRAILERS = Object.freeze({ waitForTrailers: true, sendDate: false })
const ALONE = Object.freeze({ endStream: true, sendDate: false })

/**
 * @param alone nothing follows
 * @param onFault told why it cannot be passed on, while the caller is still there
 * @returns whether it went out
 */
export function passHead(
  down: ServerHttp2Stream,
  head: readonly string[],
  alone: boolean,
  onFault: (error: MeshError) => void,
): boolean {
  if (down.destroyed || down.closed) return false
  try {
    down.respond(head, alone ? ALONE : WITH_TRAILERS)
    return true
  } catch (cause) {
    const message = 'the headers of the answer cannot be passed on'
    onFault(new MeshError('MESH_PEER_PROTOCOL', message, { cause }))
    return false
  }
}

/** When `wantTrailers` has come. */
export function passTrailers(
  down: ServerHttp2Stream,
  trailers: Readonly<Record<string, string | string[]>>,
  requestId: string,
): void {
  if (down.destroyed || down.closed) return
  try {
    down.sendTrailers(trailers)
  } catch (cause) {
    // the record is written by now: what goes wrong here goes wrong for the caller alone
    const message = 'the trailers of the answer cannot be passed on'
    const error = new MeshError('MESH_PEER_PROTOCOL', message, { cause })
    if (!down.destroyed) down.sendTrailers(errorTrailers(error, requestId))
  }
}
