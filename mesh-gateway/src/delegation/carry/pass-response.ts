/**
 * Passes the peer's answer on to the caller. Node throws for headers that HTTP forbids, such as two dates; an exception
 * in a listener would end the process.
 */
import type { ServerHttp2Stream } from 'node:http2'
import { MeshError } from '@clawmesh/proto'
import { errorTrailers } from '../error-trailers.ts'

/** Informational answers (1xx) have no meaning in gRPC. */
export const MAX_INFORMATIONAL = 10
const WITH_TRAILERS = Object.freeze({ waitForTrailers: true, sendDate: false })
const ALONE = Object.freeze({ endStream: true, sendDate: false })

/**
 * To be called while the caller is there.
 * @param alone nothing follows the head
 * @returns why the head cannot be passed on; null when it was sent
 */
export function passHead(
  down: ServerHttp2Stream,
  head: readonly string[],
  alone: boolean,
): MeshError | null {
  try {
    down.respond(head, alone ? ALONE : WITH_TRAILERS)
    return null
  } catch (cause) {
    const message = 'the headers of the answer cannot be passed on'
    return new MeshError('MESH_PEER_PROTOCOL', message, { cause })
  }
}

/** To be called after `wantTrailers`. */
export function passTrailers(
  down: ServerHttp2Stream,
  trailers: Readonly<Record<string, string | string[]>>,
  requestId: string,
): void {
  if (down.destroyed || down.closed) return
  try {
    down.sendTrailers(trailers)
  } catch (cause) {
    // the audit record is already written: only the caller sees this error
    const message = 'the trailers of the answer cannot be passed on'
    const error = new MeshError('MESH_PEER_PROTOCOL', message, { cause })
    if (!down.destroyed) down.sendTrailers(errorTrailers(error, requestId))
  }
}
