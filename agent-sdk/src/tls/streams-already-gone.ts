/**
 * A client may send a call and its reset in one packet: then the stream is gone before grpc-js answers that it does not know the
 * method, or the content type, and grpc-js 1.14 lets the error of answering end the process. Here that error ends nothing.
 */
import type { Server } from '@grpc/grpc-js'

/** What answers a stream before any handler does. */
const ANSWERS: readonly string[] = Object.freeze(['_respondWithError', '_verifyContentType'])

/** @throws Error when grpc-js no longer answers by these: then this file has to be looked at again */
export function surviveLostStreams(server: Server): void {
  for (const name of ANSWERS) {
    const answer: unknown = Reflect.get(server, name)
    if (typeof answer !== 'function') throw new Error(`grpc-js has no ${name}`)
    Reflect.set(server, name, (...args: unknown[]): unknown => {
      try {
        return Reflect.apply(answer, server, args)
      } catch (error) {
        // nobody is there to be answered; false: the call goes no further
        if (error instanceof Error && 'code' in error && error.code === 'ERR_HTTP2_INVALID_STREAM')
          return false
        throw error
      }
    })
  }
}
