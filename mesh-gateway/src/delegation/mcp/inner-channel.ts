/** The channel of one request: its calls are made in the name of the request's client, and are part of its trace. */
import {
  METADATA_DELEGATION,
  METADATA_NARROW_DESTINATIONS,
  METADATA_NARROW_SCOPE,
  METADATA_REQUEST_ID,
} from '@clawmesh/proto'
import { type ChannelInterface, connectivityState } from '@grpc/grpc-js'
import { startsTask } from '../../policy/decide/task-methods.ts'
import type { Exchange } from './exchange.ts'
import { headersOf } from './http.ts'
import { InnerCall } from './inner-call.ts'
import type { InnerConnections } from './inner-connections.ts'

export interface InnerChannel extends ChannelInterface {
  /** How many calls were made. */
  readonly calls: number
}

/** As gRPC takes it by default. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
/** A client that acts for a task presents the chain of that task, as over gRPC. */
const CHAIN_HEADERS = [METADATA_DELEGATION, METADATA_NARROW_DESTINATIONS, METADATA_NARROW_SCOPE]

export function createInnerChannel(
  inner: InnerConnections,
  { request, client, requestId }: Exchange,
): InnerChannel {
  let calls = 0
  return {
    get calls() {
      return calls
    },
    createCall(path, deadline, host) {
      calls += 1
      const chain = startsTask(path.slice(1)) ? CHAIN_HEADERS : []
      const more = chain.flatMap((name) =>
        headersOf(request, name).flatMap((value) => [name, value]),
      )
      return new InnerCall({
        ...{ path, authority: host ?? '', maxMessageBytes: MAX_MESSAGE_BYTES, pace: inner.pace },
        deadlineMs: deadline instanceof Date ? deadline.getTime() : deadline,
        open: (headers) =>
          inner.open(client, [...headers, METADATA_REQUEST_ID, requestId, ...more]),
      })
    },
    close() {},
    getTarget: () => 'the gateway',
    getConnectivityState: () => connectivityState.READY,
    watchConnectivityState() {},
    getChannelzRef() {
      throw new TypeError('there is no channelz here')
    },
  }
}
