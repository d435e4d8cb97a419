/**
 * MeshService.FollowTrees: tells callees which trees of delegations, of those that they hold tasks of, are revoked. A callee
 * shows the token that came with each task, so it learns of no tree but its own. Nothing is remembered beyond the stream.
 */
import { errorToStatus } from '@clawmesh/agent-sdk/mesh'
import { actorsOf, MeshError } from '@clawmesh/proto'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { createLimits } from '../../limits/create-limits.ts'
import { createSlices } from '../../process/slices.ts'
import type { Revocations } from '../../revocation/revocations.ts'
import type { ChainGate } from '../chain/chain-gate.ts'

/** As mesh.proto has it. */
export interface FollowTreesRequest {
  readonly key: number
  readonly delegation_token: string
}

export interface TreeRevoked {
  readonly key: number
  readonly code: string
  readonly message: string
}

export type FollowTreesCall = ServerDuplexStream<FollowTreesRequest, TreeRevoked>

export interface TreeFollowers {
  /** @param holder SPIFFE ID of the agent that follows, by its certificate */
  follow(call: FollowTreesCall, holder: string): void
  /** Ends all streams, so that their callees go to another gateway. */
  stop(): void
}

export interface TreeFollowersOptions {
  readonly chain: Pick<ChainGate, 'tree'>
  readonly revocations: Pick<Revocations, 'chain' | 'onChange'>
}

interface Followed {
  readonly txn: string
  readonly actors: readonly string[]
}

interface Follower {
  readonly call: FollowTreesCall
  readonly trees: Map<number, Followed>
  /** Nothing is followed, and nothing is heard, by this stream any more. */
  leave(): void
}

/** Tasks that one stream follows. An agent runs 100 by default. */
const MAX_TREES = 2_000
/** Streams of one agent: each of its processes has one. */
const MAX_STREAMS = 64
/** Requests of one agent that are heard in a minute, over all its streams, and at once: each costs a signature. Those beyond wait. */
const HEARD_PER_MINUTE = 12_000
const HEARD_AT_ONCE = 2 * MAX_TREES

export function createTreeFollowers({ chain, revocations }: TreeFollowersOptions): TreeFollowers {
  const followers = new Map<string, Set<Follower>>()
  const rates = createLimits()
  let stopped = false
  let again = false

  function judge({ call, trees }: Follower, key: number, { txn, actors }: Followed): void {
    const revoked = revocations.chain(txn, actors)
    if (revoked === null) return
    trees.delete(key)
    call.write({ key, code: revoked.code, message: revoked.message })
  }

  const slices = createSlices({
    *work() {
      do {
        again = false
        for (const streams of followers.values())
          for (const follower of streams)
            for (const [key, followed] of follower.trees) {
              judge(follower, key, followed)
              yield
            }
      } while (again)
    },
  })
  const unfollow = revocations.onChange(() => {
    again = true
    slices.start()
  })

  /**
   * Null where the token is no grounds to be told anything: one that nobody signed would let an agent ask about trees and agents
   * that are not its business. That is no end of the stream, which the agent's other tasks are followed by.
   */
  function treeOf(token: string, holder: string): Followed | null {
    try {
      const { claims, signed } = chain.tree(token, holder)
      return signed ? { txn: claims.txn, actors: actorsOf(claims.act) } : null
    } catch (error) {
      if (error instanceof MeshError && error.code.startsWith('MESH_TOKEN_')) return null
      throw error
    }
  }

  function take(follower: Follower, holder: string, request: FollowTreesRequest): void {
    const { call, trees } = follower
    if (call.writableLength > MAX_TREES)
      throw new MeshError('MESH_LIMIT_CONCURRENCY', `${MAX_TREES} answers wait to be read`)
    const { key, delegation_token: token } = request
    trees.delete(key)
    if (token === '') return
    if (trees.size >= MAX_TREES)
      throw new MeshError('MESH_LIMIT_CONCURRENCY', `one stream follows ${MAX_TREES} tasks`)
    const followed = treeOf(token, holder)
    if (followed === null) return
    trees.set(key, followed)
    judge(follower, key, followed)
  }

  return {
    follow(call, holder) {
      const streams = followers.get(holder) ?? new Set()
      const refuse = (error: unknown) => call.emit('error', errorToStatus(error))
      if (stopped) return refuse(new MeshError('MESH_GATEWAY_DRAINING'))
      if (streams.size >= MAX_STREAMS)
        return refuse(
          new MeshError('MESH_LIMIT_CONCURRENCY', `an agent has ${MAX_STREAMS} such streams`),
        )
      let left = false
      let waiting: NodeJS.Timeout | undefined
      const leave = () => {
        left = true
        clearTimeout(waiting)
        // what was not heard passes by: a stream that is not read never closes
        call.resume()
        streams.delete(follower)
        follower.trees.clear()
        if (streams.size === 0 && followers.get(holder) === streams) followers.delete(holder)
      }
      const follower: Follower = { call, trees: new Map(), leave }
      followers.set(holder, streams.add(follower))
      /** True: the agent asks too much, and the stream is not read on until there is room. */
      const hold = (request: FollowTreesRequest): boolean => {
        if (request.delegation_token === '') return false
        const waitMs = rates.take(holder, HEARD_PER_MINUTE, HEARD_AT_ONCE)
        if (waitMs === null) return false
        call.pause()
        call.unshift(request)
        waiting = setTimeout(() => call.resume(), waitMs).unref()
        return true
      }
      call.on('data', (request: FollowTreesRequest) => {
        if (left || hold(request)) return
        try {
          take(follower, holder, request)
        } catch (error) {
          leave()
          refuse(error)
        }
      })
      call.once('end', () => {
        leave()
        call.end()
      })
      for (const event of ['cancelled', 'close', 'error']) call.once(event, leave)
      return undefined
    },
    stop() {
      stopped = true
      unfollow()
      for (const streams of [...followers.values()])
        for (const { call, leave } of [...streams]) {
          leave()
          call.end()
        }
    },
  }
}
