/** Delegations to peers over the connection to the gateway. */
import { type ErrorCode, isUuidV7, MeshError, uuidV7 } from '@clawmesh/proto'
import { checkOptions, optionNames } from '../check-options.ts'
import type { Log } from '../log.ts'
import { toParts } from '../model/part.ts'
import type { TaskFilter, TaskInfo } from '../model/task-event.ts'
import { messages } from '../wire/messages.ts'
import { decodeTask, encodeLabels, encodeRequest, isSkillName } from '../wire/request-codec.ts'
import { decodeSkills, type SkillDescription } from '../wire/skill-codec.ts'
import { encodeState } from '../wire/state-codec.ts'
import type { Connection } from './connection.ts'
import {
  createDelegation,
  DELEGATE_OPTIONS,
  type DelegateOptions,
  type Delegation,
} from './delegation.ts'
import type { FirstContact } from './first-contact.ts'
import { createKnownSkills } from './known-skills.ts'
import { methods } from './methods.ts'
import { checkSize, PeerTask, type PeerTaskContext, type PeerTaskOptions } from './peer-task.ts'
import {
  metadataOfDelegate,
  metadataOfTask,
  NOTHING_PROPAGATED,
  type Propagated,
} from './propagation.ts'
import { retryUnary, type UnaryCall } from './retry-unary.ts'

/** How long an agent waits and retries (retry limits) when a connection breaks. Milliseconds. */
export interface Patience {
  /** A stream that is silent for so long, in milliseconds, is taken for lost. Default 60,000: four heartbeats. */
  readonly idleMs?: number
  /** How long a running task is looked for after its stream broke, and an answer to its question is sent again, in milliseconds. Default 120,000. */
  readonly giveUpMs?: number
  /** How long a call that does not get through is tried again, in milliseconds. Default 20,000. */
  readonly startGiveUpMs?: number
  /**
   * How long calls of any kind wait for a gateway that was never reached, in milliseconds. Default 2,500. Raise it where an agent
   * calls before its gateway has started. `serve` waits for ever.
   */
  readonly connectGiveUpMs?: number
}

export interface PeerClientOptions {
  readonly connection: Connection
  readonly contact: Pick<FirstContact, 'begin'>
  readonly patience: Required<Omit<Patience, 'connectGiveUpMs'>> & Pick<Patience, 'connectGiveUpMs'>
  readonly maxResultBytes: number
  /** Aborts when the agent lets go of what it delegated; tasks are still cancelled then. */
  readonly letGo: AbortSignal
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal
  readonly refusal: () => MeshError | null
  readonly log: Log
  readonly now: () => number
}

export interface PeerClient {
  /**
   * @param authority full name of the peer. @param id default: a new one. @param onOutcome called once with the error, or null
   * @throws TypeError, MeshError MESH_LIMIT_SIZE, MESH_TASK_INPUT_INVALID
   */
  delegate(
    authority: string,
    options: DelegateOptions,
    propagated?: Propagated,
    id?: string,
    onOutcome?: (failure: unknown) => void,
  ): Delegation
  watch(authority: string, id: string, afterSeq: number, options?: LookOptions): Delegation
  get(authority: string, id: string, options?: LookOptions): Promise<TaskInfo>
  /** The newest first. */
  list(authority: string, filter: TaskFilter, options?: LookOptions): AsyncIterable<TaskInfo>
  /** @throws MeshError MESH_PEER_UNDESCRIBED … */
  describe(authority: string, options?: DescribeLookOptions): Promise<readonly SkillDescription[]>
  /** Resolves when all that was let go of has ended here, and the peers have been told. */
  settled(): Promise<void>
}

export interface LookOptions {
  readonly propagated?: Propagated
  /** Stops looking. */
  readonly signal?: AbortSignal
  readonly artifacts?: 'gather' | 'stream'
}

export interface DescribeLookOptions extends LookOptions {
  /** As in `DescribeOptions`. Default true. */
  readonly retryAway?: boolean
}

/** The gateway has looked for the peer, and does not reach it. */
const AWAY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'MESH_PEER_UNRESOLVED',
  'MESH_PEER_UNREACHABLE',
])

const FILTER_OPTIONS = optionNames<TaskFilter>({ states: true, labels: true })

export function createPeerClient(options: PeerClientOptions): PeerClient {
  return new ClientOfPeers(options)
}

class ClientOfPeers implements PeerClient {
  readonly #now: () => number
  /** Aborts when the agent is closed. */
  readonly #signal: AbortSignal
  readonly #unary: UnaryCall
  readonly #context: PeerTaskContext
  readonly #active = new Set<PeerTask>()
  readonly #known = createKnownSkills()
  #settle = () => {}

  constructor(options: PeerClientOptions) {
    const { connection, contact, patience, refusal, log, now } = options
    const { maxResultBytes, letGo, signal } = options
    this.#now = now
    this.#signal = signal
    this.#unary = retryUnary({ connection, contact, refusal })
    this.#context = {
      ...{ connection, unary: this.#unary, maxResultBytes, letGo, signal, now },
      checkOutput: this.#known.checkOutput,
      following: { ...patience, contact, refusal, log },
      onEnd: (task) => {
        this.#active.delete(task)
        if (this.#active.size === 0) this.#settle()
      },
    }
  }

  delegate(
    authority: string,
    asked: DelegateOptions,
    propagated: Propagated = NOTHING_PROPAGATED,
    id = uuidV7(this.#now()),
    onOutcome: (failure: unknown) => void = ignored,
  ): Delegation {
    checkOptions(asked, DELEGATE_OPTIONS, 'delegate')
    const deadline = deadlineOf(asked, this.#now())
    const metadata = metadataOfDelegate(propagated, id, deadline, asked.narrow)
    if (!isSkillName(asked.skill)) throw new TypeError('skill: is not a name')
    const input = toParts(asked.input)
    this.#known.checkInput(authority, asked.skill, input)
    const request = encodeRequest({
      id,
      skill: asked.skill,
      input,
      idempotencyKey: asked.idempotencyKey ?? null,
      deadline,
      detached: asked.detached ?? false,
      labels: asked.labels ?? {},
    })
    checkSize(messages.delegateRequest.serialize(request).length)
    const { signal, detached = false } = asked
    const gather = asked.artifacts !== 'stream'
    const following = { signal, deadline, detached, gather, propagated }
    const start = { request, metadata }
    return this.#open({ authority, id, afterSeq: 0, following, start, onOutcome })
  }

  watch(
    authority: string,
    id: string,
    afterSeq: number,
    { propagated = NOTHING_PROPAGATED, signal, artifacts }: LookOptions = {},
  ): Delegation {
    checkId(id)
    if (!Number.isSafeInteger(afterSeq) || afterSeq < 0)
      throw new TypeError('afterSeq: must be the seq of an event, or 0')
    const gather = artifacts !== 'stream'
    const following = { signal, deadline: null, detached: true, gather, propagated }
    return this.#open({ authority, id, afterSeq, following, start: null, onOutcome: ignored })
  }

  async get(
    authority: string,
    id: string,
    { propagated = NOTHING_PROPAGATED, signal }: LookOptions = {},
  ): Promise<TaskInfo> {
    checkId(id)
    const metadata = metadataOfTask(propagated, id, this.#now())
    const until = this.#until(signal)
    const request = { delegation_id: id }
    return decodeTask(await this.#unary(methods.get, request, { authority, metadata }, until))
  }

  async *list(
    authority: string,
    filter: TaskFilter,
    { propagated = NOTHING_PROPAGATED, signal }: LookOptions = {},
  ): AsyncGenerator<TaskInfo, void, void> {
    checkOptions(filter, FILTER_OPTIONS, 'list')
    const { states = [], labels = {} } = filter
    const until = this.#until(signal)
    const metadata = metadataOfTask(propagated, '', this.#now())
    const wanted = { states: states.map(encodeState), labels: encodeLabels(labels), page_size: 0 }
    let page_token = ''
    do {
      const request = { ...wanted, page_token }
      const page = await this.#unary(methods.list, request, { authority, metadata }, until)
      yield* page.tasks.map(decodeTask)
      page_token = page.next_page_token
    } while (page_token !== '')
  }

  async describe(
    authority: string,
    { propagated = NOTHING_PROPAGATED, signal, retryAway = true }: DescribeLookOptions = {},
  ): Promise<readonly SkillDescription[]> {
    // it begins nothing, and so needs no chain
    const metadata = metadataOfTask({ ...propagated, chain: null }, '', this.#now())
    const until = this.#until(signal)
    const stands = retryAway ? {} : { stands: (code: ErrorCode) => AWAY.has(code) }
    const asked = { authority, metadata, ...stands }
    try {
      const skills = decodeSkills(
        (await this.#unary(methods.describe, { skills: [] }, asked, until)).skills,
      )
      this.#known.remember(authority, skills)
      return skills
    } catch (error) {
      throw isUndescribed(error)
        ? new MeshError('MESH_PEER_UNDESCRIBED', undefined, { cause: error })
        : error
    }
  }

  async settled(): Promise<void> {
    if (this.#active.size === 0) return
    await new Promise<void>((resolve) => {
      this.#settle = resolve
    })
  }

  #open(options: PeerTaskOptions): Delegation {
    const task = new PeerTask(this.#context, options)
    this.#active.add(task)
    return createDelegation(task)
  }

  #until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#signal : AbortSignal.any([this.#signal, signal])
  }
}

function ignored(): void {}

/** An older peer, or a server of another make, has no such method: it says so by the status alone. */
function isUndescribed(error: unknown): boolean {
  return error instanceof MeshError && error.facts?.grpc_status === 'UNIMPLEMENTED'
}

function checkId(id: string): void {
  if (!isUuidV7(id)) throw new TypeError('id: must be the id of a delegation, a UUIDv7')
}

function deadlineOf({ deadline, deadlineMs }: DelegateOptions, nowMs: number): Date | null {
  if (deadline !== undefined && deadlineMs !== undefined)
    throw new TypeError('deadline: give deadline or deadlineMs, not both')
  if (deadlineMs !== undefined && !(deadlineMs > 0))
    throw new TypeError('deadlineMs: must be a number above 0')
  const at = deadline ?? (deadlineMs === undefined ? null : new Date(nowMs + deadlineMs))
  if (at !== null && Number.isNaN(at.getTime())) throw new TypeError('deadline: is no date')
  return at
}
