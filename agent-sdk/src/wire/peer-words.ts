/**
 * An error in a callee's own words. Its code counts where a callee may judge; whatever it says beyond that is told as said by
 * the peer, and what to do comes from our table of errors alone: a tired operator, or a model, may run the commands of a hint.
 */
import { ERRORS, MeshError, printable } from '@clawmesh/proto'

/** What an agent may say of a call: of its tasks, its own limits, its shutdown, its view of the caller, the tree it knows. */
const A_PEERS_TO_SAY =
  /^MESH_(?:TASK_[A-Z_]+|LIMIT_[A-Z_]+|CALL_[A-Z]+|PEER_DRAINING|CHAIN_REVOKED|GATEWAY_NOT_FOR_TENANT|IDENTITY_NO[A-Z_]+)$/
const MAX_MESSAGE = 1_024
/** Longer than any client of ours would wait for a peer's word alone. */
const MAX_RETRY_AFTER_MS = 60_000

/** @param said as it was decoded from the details of a status that the gateway has not marked as its own */
export function peerWords(said: MeshError): MeshError {
  const own = A_PEERS_TO_SAY.test(said.code)
  const code = own ? said.code : 'MESH_PEER_REFUSED'
  const { retryAfterMs } = said
  return new MeshError(code, plainText(said.publicMessage), {
    hint: ERRORS[code].hint,
    facts: { said_by: 'peer', ...(own ? {} : { peer_code: said.code }) },
    ...(retryAfterMs === undefined
      ? {}
      : { retryAfterMs: Math.min(Math.max(0, retryAfterMs), MAX_RETRY_AFTER_MS) }),
  })
}

/** One line that cannot paint a terminal: without control and bidirectional formatting characters. */
export function plainText(text: string): string {
  return printable(text.slice(0, MAX_MESSAGE).toWellFormed())
}
