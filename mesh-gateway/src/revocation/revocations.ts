/**
 * Follows the revocations on disk: the CRLs of CAs, and the gateway's own list. Polls both twice a second, whatever
 * file watching reports. A fault is logged once, and the last good list stays in force.
 */
import {
  createDisk,
  createListeners,
  type Disk,
  type Followed,
  type Found,
  type IdentityStore,
  type Listeners,
  type Log,
} from '@clawmesh/agent-sdk/mesh'
import { follow } from '../files/follow.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import type { CrlSet } from './crl-file.ts'
import { createCrlReader } from './crl-reader.ts'
import { type JudgedMoment, judgeRevocations, type RevocationJudge } from './judge.ts'
import { createListReader, type ListReader } from './list-reader.ts'
import { createListWriter, type Edit, type ListWriter } from './list-writer.ts'
import { RevokedIndex } from './revoked-index.ts'

export type { RevocationJudge, Revoked } from './judge.ts'

/** The part that the planes need. */
export interface Revocations extends RevocationJudge {
  /** Called when an answer may have changed. Returns the function that unsubscribes. */
  onChange(listener: () => void): () => void
}

export interface RevocationsHandle extends Revocations {
  /** Why revocation cannot be judged; null when all is well. */
  problem(): string | null
  /**
   * Changes the gateway's own list. True when something has changed, is on the disk, and is in force.
   * @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID, MESH_DISK_WRITE, and any error of the edit
   */
  change(edit: Edit): Promise<boolean>
  reload(): Promise<void>
  close(): Promise<void>
}

export interface RevocationsOptions {
  /** PEM or DER; null: no CRL. */
  readonly crl: string | null
  /** The gateway's own list; must exist. Null: none. */
  readonly list: string | null
  /** How a CRL past its nextUpdate affects the certificates of its CA. */
  readonly stale: 'refuse' | 'keep'
  readonly identity: Pick<IdentityStore, 'current'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload' | 'crlNextUpdate' | 'revocations'>
  /** The polling interval, in milliseconds. Default 500, which is also the maximum. */
  readonly pollMs?: number
  /** Shared by all file followers of this process. Default: its own. */
  readonly disk?: Disk | undefined
  /** Milliseconds since the epoch. Default: the system clock. */
  readonly now?: () => number
}

const POLL_MS = 500
const DEBOUNCE_MS = 50
/** For a long list on a slow machine; each disk operation has a timeout of its own. */
const TIMEOUT_MS = 60_000
const NOTHING = new RevokedIndex()
const MAX_TIMER_MS = 2 ** 31 - 1

/** Revokes nothing, ever. */
export const NO_REVOCATIONS: Revocations = Object.freeze({
  ...judgeRevocations(NOTHING, none(), 'keep', () => 0).judge,
  onChange: () => () => {},
})

/** @throws MeshError MESH_REVOCATION_MISSING or MESH_REVOCATION_INVALID when a configured file is missing or invalid */
export async function openRevocations(options: RevocationsOptions): Promise<RevocationsHandle> {
  const { disk = createDisk(), now = Date.now } = options
  const following = followingOf(options, disk)
  await using opening = new AsyncDisposableStack()
  const opened = async <T>(followed: Promise<Followed<T>>): Promise<Followed<T>> =>
    opening.adopt(await followed, (one) => one.close())

  let crls: Followed<CrlSet> | null = null
  let list: { readonly reader: ListReader; readonly writer: ListWriter } | null = null
  const crlsInUse = () => crls?.current() ?? none()
  const judged = opening.adopt(
    new JudgedFiles(options, crlsInUse, () => list?.reader ?? null),
    (one) => one.close(),
  )
  if (options.crl !== null)
    crls = await opened(
      follow<CrlSet>({
        ...following,
        what: 'crl',
        files: [options.crl],
        // a file of several lists cut between two of them is still valid PEM
        settle: 'twice',
        read: createCrlReader({
          path: options.crl,
          disk,
          identity: options.identity,
          inUse: crlsInUse,
          now,
        }),
      }),
    )
  crls?.onChange(() => judged.refresh())
  let followed: Followed<unknown> | null = null
  if (options.list !== null) {
    const reader = createListReader(options.list, disk)
    list = { reader, writer: createListWriter({ path: options.list, reader, now }) }
    followed = await opened(
      follow({
        ...following,
        what: 'revocations',
        files: [options.list],
        read: () => judged.readList(reader),
      }),
    )
  }

  judged.refresh()
  const resources = opening.move()
  return {
    certificate: (peer) => judged.judge.certificate(peer),
    agent: (id) => judged.judge.agent(id),
    chain: (txn, actors) => judged.judge.chain(txn, actors),
    token: (jti) => judged.judge.token(jti),
    onChange: (listener) => judged.onChange(listener),
    problem: () => judged.problem(),
    async change(edit) {
      if (list === null) throw new TypeError('there is no list to change')
      const changed = await list.writer.change(edit)
      // takes effect here at once, before the next poll
      if (changed) await followed?.reload()
      return changed
    },
    async reload() {
      await Promise.all([crls?.reload(), followed?.reload()])
    },
    async close() {
      judged.close()
      await resources.disposeAsync()
    },
  }
}

/** The answers of the moment, by the files as they were read last. */
class JudgedFiles {
  readonly #options: RevocationsOptions
  readonly #now: () => number
  readonly #crls: () => CrlSet
  readonly #list: () => ListReader | null
  readonly #listeners: Listeners<void>
  #moment: JudgedMoment
  #timer: NodeJS.Timeout | undefined
  #complained: number | null = null
  /** The last state of the list that the listeners were told. */
  #told: { readonly state: string; readonly index: RevokedIndex | null } = {
    state: '',
    index: null,
  }

  constructor(options: RevocationsOptions, crls: () => CrlSet, list: () => ListReader | null) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#crls = crls
    this.#list = list
    this.#listeners = createListeners((err) =>
      options.log.error({ err }, 'a listener to revocations failed'),
    )
    this.#moment = judgeRevocations(NOTHING, none(), options.stale, this.#now)
  }

  get judge(): RevocationJudge {
    return this.#moment.judge
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener)
  }

  problem(): string | null {
    return this.#moment.stale ? `the list ${this.#options.crl} is out of date` : null
  }

  refresh(): void {
    this.#moment = this.#take()
    this.#say()
    this.#listeners.tell()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#listeners.clear()
  }

  /** Entries that an older copy adds are in force, and the copy is a fault all the same. */
  async readList(reader: ListReader): Promise<Found<unknown>> {
    const before = reader.id()
    try {
      await reader.catchUp()
    } finally {
      const { state, index } = this.#told
      const begun = index !== null
      if (begun && (state !== reader.state() || index !== reader.index())) this.refresh()
    }
    if (before !== null && reader.id() !== before)
      this.#options.log.warn(
        { file: this.#options.list },
        'a new list of revocations was begun: what the one before it revoked is let in',
      )
    return { digest: reader.state(), parse: () => null }
  }

  #take(): JudgedMoment {
    const now = this.#now
    const list = this.#list()
    const index = list?.index() ?? NOTHING
    this.#told = { state: list?.state() ?? '', index }
    index.sweep(now())
    this.#options.metrics.revocations(index.size - index.byAgents, index.byAgents)
    const taken = judgeRevocations(index, this.#crls(), this.#options.stale, now)
    clearTimeout(this.#timer)
    const next = Math.min(taken.until, index.nextSweepMs)
    const waitMs = Math.min(MAX_TIMER_MS, Math.max(1, next - now()))
    if (next !== Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.refresh(), waitMs).unref()
    return taken
  }

  #say(): void {
    const { nextUpdateMs } = this.#moment
    const { metrics, log, crl: file } = this.#options
    if (nextUpdateMs === null) return
    metrics.crlNextUpdate(nextUpdateMs / 1000)
    if (nextUpdateMs > this.#now()) {
      if (this.#complained !== null)
        log.info({ file }, 'the list of revoked certificates is in date again')
      this.#complained = null
      return
    }
    if (this.#complained === nextUpdateMs) return
    this.#complained = nextUpdateMs
    const what = this.#moment.stale ? 'its certificates are refused' : 'it is gone by all the same'
    log.warn(
      { file, next_update: new Date(nextUpdateMs).toISOString() },
      `the list of revoked certificates is out of date: ${what}`,
    )
  }
}

function followingOf({ log, metrics, pollMs = POLL_MS }: RevocationsOptions, disk: Disk) {
  return {
    disk,
    log,
    metrics,
    pollMs: Math.min(POLL_MS, pollMs),
    debounceMs: DEBOUNCE_MS,
    timeoutMs: TIMEOUT_MS,
  }
}

function none(): CrlSet {
  return new Map()
}
