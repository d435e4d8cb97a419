/**
 * MeshService.FollowTrees: tells callees which trees of delegations are revoked, among those whose tasks they hold. A
 * callee presents the token that came with each task, so it learns of its own trees only. Nothing is kept after the
 * stream ends.
 */
import { errorToStatus } from '@clawmesh/agent-sdk/calls'
import { actorsOf, MeshError } from '@clawmesh/proto'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { createLimits } from '../../limits/create-limits.ts'
import type { LocalLimits } from '../../limits/limits.ts'
import { createSlices } from '../../process/slices.ts'
import type { Revocations } from '../../revocation/revocations.ts'
import type { ChainGate } from '../chain/chain-gate.ts'

/** As in mesh.proto. */
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
  /** @param holder SPIFFE ID of the agent that follows, from its certificate */
  follow(call: FollowTreesCall, holder: string): void
  /** Ends all streams, so that their callees connect to another gateway. */
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

/** Tasks that one stream may follow. An agent runs 100 by default. */
const MAX_TREES = 2_000
/** Streams per agent: each of its processes has one. */
const MAX_STREAMS = 64
/**
 * The requests of one agent that are read per minute, over all its streams, and at once: each costs a signature check.
 * Further ones wait.
 */
const HEARD_PER_MINUTE = 12_000
const HEARD_AT_ONCE = 2 * MAX_TREES

export function createTreeFollowers({ chain, revocations }: TreeFollowersOptions): TreeFollowers {
  const followers = new Map<string, Set<Follower>>()
  const rates = createLimits()
  let stopped = false
  let again = false

  const slices = createSlices({
    *work() {
      do {
        again = false
        for (const streams of followers.values())
          for (const follower of streams) yield* follower.judgeAll()
      } while (again)
    },
  })
  const unfollow = revocations.onChange(() => {
    again = true
    slices.start()
  })

  return {
    follow(call, holder) {
      const streams = followers.get(holder) ?? new Set()
      if (stopped) return refuse(call, new MeshError('MESH_GATEWAY_DRAINING'))
      if (streams.size >= MAX_STREAMS)
        return refuse(
          call,
          new MeshError('MESH_LIMIT_CONCURRENCY', `an agent has ${MAX_STREAMS} such streams`),
        )
      const onLeave = () => {
        streams.delete(follower)
        if (streams.size === 0 && followers.get(holder) === streams) followers.delete(holder)
      }
      const follower = new Follower({ call, holder, chain, revocations, rates, onLeave })
      followers.set(holder, streams.add(follower))
      follower.start()
      return undefined
    },
    stop() {
      stopped = true
      unfollow()
      for (const streams of [...followers.values()])
        for (const follower of [...streams]) follower.end()
    },
  }
}

interface FollowerOptions extends TreeFollowersOptions {
  readonly call: FollowTreesCall
  readonly holder: string
  readonly rates: LocalLimits
  /** May be called more than once. */
  readonly onLeave: () => void
}

/** One stream. */
class Follower {
  readonly #options: FollowerOptions
  readonly #call: FollowTreesCall
  readonly #trees = new Map<number, Followed>()
  #left = false
  #waiting: NodeJS.Timeout | undefined

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#call = options.call
  }

  start(): void {
    const call = this.#call
    const leave = () => this.#leave()
    call.on('data', (request: FollowTreesRequest) => this.#onRequest(request))
    call.once('end', () => this.end())
    for (const event of ['cancelled', 'close', 'error']) call.once(event, leave)
  }

  end(): void {
    this.#leave()
    this.#call.end()
  }

  /** To be paused at each `yield`. */
  *judgeAll(): Generator<void, void> {
    for (const [key, followed] of this.#trees) {
      this.#judge(key, followed)
      yield
    }
  }

  /** Stops following and reading for this stream. */
  #leave(): void {
    this.#left = true
    clearTimeout(this.#waiting)
    // unread data is discarded: a stream that is not read never closes
    this.#call.resume()
    this.#options.onLeave()
    this.#trees.clear()
  }

  #onRequest(request: FollowTreesRequest): void {
    if (this.#left || this.#hold(request)) return
    try {
      this.#take(request)
    } catch (error) {
      this.#leave()
      refuse(this.#call, error)
    }
  }

  /** True when the agent exceeds its rate: the stream is not read until there is room. */
  #hold(request: FollowTreesRequest): boolean {
    if (request.delegation_token === '') return false
    const { rates, holder } = this.#options
    const waitMs = rates.take(holder, HEARD_PER_MINUTE, HEARD_AT_ONCE)
    if (waitMs === null) return false
    const call = this.#call
    call.pause()
    call.unshift(request)
    this.#waiting = setTimeout(() => call.resume(), waitMs).unref()
    return true
  }

  #take(request: FollowTreesRequest): void {
    const trees = this.#trees
    if (this.#call.writableLength > MAX_TREES)
      throw new MeshError('MESH_LIMIT_CONCURRENCY', `${MAX_TREES} answers wait to be read`)
    const { key, delegation_token: token } = request
    trees.delete(key)
    if (token === '') return
    if (trees.size >= MAX_TREES)
      throw new MeshError('MESH_LIMIT_CONCURRENCY', `one stream follows ${MAX_TREES} tasks`)
    const followed = this.#treeOf(token)
    if (followed === null) return
    trees.set(key, followed)
    this.#judge(key, followed)
  }

  /**
   * Null when the token does not entitle the callee to an answer: an unsigned token would let an agent ask about other
   * agents' trees. The stream goes on, for the agent's other tasks.
   */
  #treeOf(token: string): Followed | null {
    const { chain, holder } = this.#options
    try {
      const { claims, signed } = chain.tree(token, holder)
      return signed ? { txn: claims.txn, actors: actorsOf(claims.act) } : null
    } catch (error) {
      if (error instanceof MeshError && error.code.startsWith('MESH_TOKEN_')) return null
      throw error
    }
  }

  #judge(key: number, { txn, actors }: Followed): void {
    const revoked = this.#options.revocations.chain(txn, actors)
    if (revoked === null) return
    this.#trees.delete(key)
    this.#call.write({ key, code: revoked.code, message: revoked.message })
  }
}

function refuse(call: FollowTreesCall, error: unknown): void {
  call.emit('error', errorToStatus(error))
}
