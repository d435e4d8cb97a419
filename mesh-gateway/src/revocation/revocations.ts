/**
 * What is revoked, followed on disk: the lists of CAs and the gateway's own. Both are looked at twice a second whatever
 * the watching of files says; what is broken is said once, and the last good one stays.
 */
import {
  createDisk,
  createListeners,
  type Disk,
  type Followed,
  type Found,
  type IdentityStore,
  type Log,
} from '@clawmesh/agent-sdk/mesh'
import { follow } from '../files/follow.ts'
import { createReader, type FileReading } from '../files/read-changed.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { type CrlSet, EarlyCrlError, MAX_CRL_FILE_BYTES, readCrls } from './crl-file.ts'
import { type JudgedMoment, judgeRevocations, type RevocationJudge } from './judge.ts'
import { createListReader, type ListReader } from './list-reader.ts'
import { createListWriter, type Edit, type ListWriter } from './list-writer.ts'
import { RevokedIndex } from './revoked-index.ts'

export type { RevocationJudge, Revoked } from './judge.ts'

/** What the planes need of it. */
export interface Revocations extends RevocationJudge {
  /** Called when an answer may have changed. Returns what ends it. */
  onChange(listener: () => void): () => void
}

export interface RevocationsHandle extends Revocations {
  /** Why nobody can be judged; null when all is well. */
  problem(): string | null
  /**
   * Changes the gateway's own list. True when something has changed, is on the disk, and holds.
   * @throws MeshError MESH_REVOCATION_MISSING, MESH_REVOCATION_INVALID, MESH_DISK_WRITE, and what the edit throws
   */
  change(edit: Edit): Promise<boolean>
  reload(): Promise<void>
  close(): Promise<void>
}

export interface RevocationsOptions {
  /** PEM or DER; null: no list of a CA. */
  readonly crl: string | null
  /** The gateway's own list; must exist. Null: none. */
  readonly list: string | null
  /** What a list past its nextUpdate means for the certificates of its CA. */
  readonly stale: 'refuse' | 'keep'
  readonly identity: Pick<IdentityStore, 'current'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload' | 'crlNextUpdate' | 'revocations'>
  /** How often the files are looked at, in milliseconds. Default 500, and never less often. */
  readonly pollMs?: number
  /** Shared by all that follow files in this process. Default: its own. */
  readonly disk?: Disk | undefined
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number
}

const POLL_MS = 500
const DEBOUNCE_MS = 50
/** A long list on a slow machine; each question to the disk is bounded by itself. */
const TIMEOUT_MS = 60_000
const NOTHING = new RevokedIndex()
const MAX_TIMER_MS = 2 ** 31 - 1

/** Nothing is revoked, ever. */
export const NO_REVOCATIONS: Revocations = Object.freeze({
  ...judgeRevocations(NOTHING, none(), 'keep', () => 0).judge,
  onChange: () => () => {},
})

/** @throws MeshError MESH_REVOCATION_MISSING or MESH_REVOCATION_INVALID when a file that is named is not there or not good */
export async function openRevocations(options: RevocationsOptions): Promise<RevocationsHandle> {
  const { log, metrics, stale, disk = createDisk(), now = Date.now } = options
  const common = {
    disk,
    log,
    metrics,
    pollMs: Math.min(POLL_MS, options.pollMs ?? POLL_MS),
    debounceMs: DEBOUNCE_MS,
    timeoutMs: TIMEOUT_MS,
  }
  const listeners = createListeners<void>((err) =>
    log.error({ err }, 'a listener to revocations failed'),
  )
  await using opening = new AsyncDisposableStack()
  const opened = async <T>(followed: Promise<Followed<T>>): Promise<Followed<T>> =>
    opening.adopt(await followed, (one) => one.close())

  let timer: NodeJS.Timeout | undefined
  let complained: number | null = null
  /** What the listeners know of the list. */
  let told: { state: string; index: RevokedIndex | null } = { state: '', index: null }
  let crls: Followed<CrlSet> | null = null
  let list: { readonly reader: ListReader; readonly writer: ListWriter } | null = null
  if (options.crl !== null)
    crls = await opened(
      follow<CrlSet>({
        ...common,
        what: 'crl',
        files: [options.crl],
        // a file of several lists that ends between two of them is one too
        settle: 'twice',
        read: crlReader(options.crl, disk, options.identity, () => crls?.current() ?? none(), now),
      }),
    )
  crls?.onChange(refresh)
  let followed: Followed<unknown> | null = null
  if (options.list !== null) {
    const reader = createListReader(options.list, disk)
    list = { reader, writer: createListWriter({ path: options.list, reader, now }) }
    followed = await opened(
      follow({
        ...common,
        what: 'revocations',
        files: [options.list],
        read: () => readList(reader),
      }),
    )
  }

  let moment = take()
  say()
  const resources = opening.move()

  /** What an older copy of the list adds holds, and is a fault all the same. */
  async function readList(reader: ListReader): Promise<Found<unknown>> {
    const before = reader.id()
    try {
      await reader.catchUp()
    } finally {
      const begun = told.index !== null
      if (begun && (told.state !== reader.state() || told.index !== reader.index())) refresh()
    }
    if (before !== null && reader.id() !== before)
      log.warn(
        { file: options.list },
        'a new list of revocations was begun: what the one before it revoked is let in',
      )
    return { digest: reader.state(), parse: () => null }
  }

  function take(): JudgedMoment {
    const index = list?.reader.index() ?? NOTHING
    told = { state: list?.reader.state() ?? '', index }
    index.sweep(now())
    metrics.revocations(index.size - index.byAgents, index.byAgents)
    const taken = judgeRevocations(index, crls?.current() ?? none(), stale, now)
    clearTimeout(timer)
    const next = Math.min(taken.until, index.nextSweepMs)
    if (next !== Number.POSITIVE_INFINITY)
      timer = setTimeout(refresh, Math.min(MAX_TIMER_MS, Math.max(1, next - now()))).unref()
    return taken
  }

  function refresh(): void {
    moment = take()
    say()
    listeners.tell()
  }

  function say(): void {
    const { nextUpdateMs } = moment
    if (nextUpdateMs === null) return
    metrics.crlNextUpdate(nextUpdateMs / 1000)
    if (nextUpdateMs > now()) {
      if (complained !== null)
        log.info({ file: options.crl }, 'the list of revoked certificates is in date again')
      complained = null
      return
    }
    if (complained === nextUpdateMs) return
    complained = nextUpdateMs
    const what = moment.stale ? 'its certificates are refused' : 'it is gone by all the same'
    log.warn(
      { file: options.crl, next_update: new Date(nextUpdateMs).toISOString() },
      `the list of revoked certificates is out of date: ${what}`,
    )
  }

  return {
    certificate: (peer) => moment.judge.certificate(peer),
    agent: (id) => moment.judge.agent(id),
    chain: (txn, actors) => moment.judge.chain(txn, actors),
    token: (jti) => moment.judge.token(jti),
    onChange: listeners.add,
    problem: () => (moment.stale ? `the list ${options.crl} is out of date` : null),
    async change(edit) {
      if (list === null) throw new TypeError('there is no list to change')
      const changed = await list.writer.change(edit)
      // this gateway does not wait until it looks at the file again
      if (changed) await followed?.reload()
      return changed
    },
    async reload() {
      await Promise.all([crls?.reload(), followed?.reload()])
    },
    async close() {
      clearTimeout(timer)
      listeners.clear()
      await resources.disposeAsync()
      clearTimeout(timer)
    },
  }
}

/** A file that was refused is parsed again when it or the bundle has changed or its time has come, not twice a second. */
function crlReader(
  path: string,
  disk: Disk,
  identity: Pick<IdentityStore, 'current'>,
  inUse: () => CrlSet,
  now: () => number,
): () => Promise<Found<CrlSet>> {
  const read = createReader(path, { maxBytes: MAX_CRL_FILE_BYTES, disk })
  let refused: { reading: FileReading; generation: number; error: unknown } | null = null
  const isWorthAnotherLook = (error: unknown) =>
    error instanceof EarlyCrlError && now() >= error.fromMs
  return async () => {
    const reading = await read()
    const { bytes } = reading
    return {
      digest: reading.digest,
      parse() {
        const snapshot = identity.current()
        const { generation } = snapshot
        const same = refused?.reading === reading && refused.generation === generation
        if (refused !== null && same && !isWorthAnotherLook(refused.error)) throw refused.error
        try {
          return readCrls(bytes, snapshot, inUse(), now())
        } catch (error) {
          refused = { reading, generation, error }
          throw error
        }
      },
    }
  }
}

function none(): CrlSet {
  return new Map()
}
