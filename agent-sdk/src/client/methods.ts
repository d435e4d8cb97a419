/** The methods that the SDK calls, each with its codecs. */
import { METHODS, messages } from '../wire/messages.ts'
import type { Method } from './connection.ts'

type Codec<T> = { serialize(value: T): Buffer; deserialize(bytes: Buffer): T }

function method<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
): Method<Request, Response> {
  return Object.freeze({
    path,
    serialize: request.serialize,
    deserialize: response.deserialize,
  })
}

export const methods = Object.freeze({
  delegate: method(METHODS.delegate, messages.delegateRequest, messages.event),
  watch: method(METHODS.watch, messages.watchRequest, messages.event),
  get: method(METHODS.get, messages.getRequest, messages.task),
  cancel: method(METHODS.cancel, messages.cancelRequest, messages.task),
  list: method(METHODS.list, messages.listRequest, messages.list),
  sendInput: method(METHODS.sendInput, messages.sendInputRequest, messages.task),
  describe: method(METHODS.describe, messages.describeRequest, messages.description),
  whoAmI: method(METHODS.whoAmI, messages.whoAmIRequest, messages.whoAmI),
  listPeers: method(METHODS.listPeers, messages.listPeersRequest, messages.peers),
  exchangeToken: method(METHODS.exchangeToken, messages.exchangeTokenRequest, messages.token),
  explain: method(METHODS.explain, messages.explainRequest, messages.explanation),
  followTrees: method(METHODS.followTrees, messages.followTrees, messages.treeRevoked),
})
