/**
 * The places of one call in the registry of open calls: one for its own grounds, and one for the tree of the task that
 * the callee names. Either can end the call.
 */
import { actorsOf, METADATA_DELEGATION, MeshError } from '@clawmesh/proto'
import type { OpenRecord } from '../../audit/open-record.ts'
import { chainGrounds } from '../../tokens/token-grounds.ts'
import { meshHeader } from '../carry/peer-response.ts'
import { asMeshError } from '../carry/status-of.ts'
import type { ChainGate } from '../chain/chain-gate.ts'
import type { TaskTree } from '../chain/tree-of-token.ts'
import type { CallRecord } from '../record.ts'
import type { AdmittedCall } from './admitted.ts'
import type { LiveCall, LiveCalls, Place } from './live-calls.ts'

export class CallPlaces {
  readonly #live: Pick<LiveCalls, 'add' | 'remove' | 'judge'>
  readonly #opening: OpenRecord
  #own: Place | null = null
  #tree: Place | null = null

  constructor(live: Pick<LiveCalls, 'add' | 'remove' | 'judge'>, opening: OpenRecord) {
    this.#live = live
    this.#opening = opening
  }

  /** From now on a change can end the call. Called again after a retry. */
  enlist(stream: LiveCall, call: AdmittedCall): void {
    if (this.#own !== null) this.#live.remove(this.#own)
    this.#own = this.#live.add(stream, call, this.#opening)
  }

  /**
   * The callee has named the tree of the task: the call is also judged within it. Returns why it may not go on; null
   * when it may.
   */
  join({ claims, signed }: TaskTree): MeshError | null {
    if (this.#own === null) return null
    const { stream, call } = this.#own
    const { agent } = call.grounds
    const tree = signed ? chainGrounds(claims.txn, claims.act) : null
    const chain = {
      ...{ txn: claims.txn, actors: actorsOf(claims.act) },
      // the caller may have renewed its certificate, and goes on with the new one
      certificates: tree?.certificates.filter(({ identity }) => identity.id !== agent) ?? [],
    }
    const within = { ...call, grounds: { ...call.grounds, chain } }
    const error = this.#live.judge(within)
    if (error === null) this.#tree = this.#live.add(stream, within)
    return error
  }

  leave(): void {
    if (this.#own !== null) this.#live.remove(this.#own)
    if (this.#tree !== null) this.#live.remove(this.#tree)
    this.#own = null
    this.#tree = null
  }
}

/**
 * A callee may name, in the head of its answer, the tree of the task by the token that came with it. The call then
 * belongs to that tree, whatever its caller has presented, and so does its record.
 * @param raw names and values in turn
 * @returns why the answer must not go on; null when it may
 */
export function joinTree(
  raw: readonly string[],
  record: CallRecord,
  places: CallPlaces,
  chain: Pick<ChainGate, 'tree'>,
): MeshError | null {
  const token = meshHeader(raw, METADATA_DELEGATION)
  const caller = record.certificate?.identity.id
  if (token === null || caller === undefined || record.callee === null) return null
  try {
    const tree = readTree(token, record.callee, chain)
    if (tree.claims.act.sub !== caller)
      return new MeshError('MESH_PEER_PROTOCOL', 'the peer names the tree of another caller’s task')
    if (tree.signed) record.link = tree.claims
    return places.join(tree)
  } catch (cause) {
    return asMeshError(cause)
  }
}

function readTree(token: string, callee: string, chain: Pick<ChainGate, 'tree'>): TaskTree {
  try {
    return chain.tree(token, callee)
  } catch (cause) {
    const message = 'the peer does not name the tree of its task with the token that came with it'
    throw new MeshError('MESH_PEER_PROTOCOL', message, { cause })
  }
}
