/**
 * What is revoked, followed on disk: the lists of CAs and the gateway's own. Both are looked at twice a second whatever
 * the watching of files says; what is broken is said once, and the last good one stays.
 */
import { dirname } from 'node:path'
import type { IdentityStore, Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { type Found, openReloadable, type Reloadable } from '../config/reloadable.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { type CrlSet, EarlyCrlError, MAX_CRL_FILE_BYTES, readCrls } from './crl-file.ts'
import { type JudgedMoment, judgeRevocations, type RevocationJudge } from './judge.ts'
import { MAX_LIST_BYTES, parseList, type RevocationEntry } from './list-file.ts'
import { createReader, type FileReading } from './read-changed.ts'

export type { RevocationJudge, Revoked } from './judge.ts'

/** What the planes need of it. */
export interface Revocations extends RevocationJudge {
  /** Called when an answer may have changed. Returns what ends it. */
  onChange(listener: () => void): () => void
}

export interface RevocationsHandle extends Revocations {
  /** Why nobody can be judged; null when all is well. */
  problem(): string | null
  reload(): Promise<void>
  close(): Promise<void>
}

export interface RevocationsOptions {
  /** PEM or DER; null: no list of a CA. */
  readonly crl: string | null
  /** The gateway's own list, JSON; need not exist. Null: none. */
  readonly list: string | null
  /** What a list past its nextUpdate means for the certificates of its CA. */
  readonly stale: 'refuse' | 'keep'
  readonly identity: Pick<IdentityStore, 'current'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload' | 'crlNextUpdate'>
  /** How often the files are looked at, in milliseconds. Default 500, and never less often. */
  readonly pollMs?: number
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number
}

const POLL_MS = 500
const DEBOUNCE_MS = 50
const MAX_TIMER_MS = 2 ** 31 - 1

/** Nothing is revoked, ever. */
export const NO_REVOCATIONS: Revocations = Object.freeze({
  ...judgeRevocations([], none(), 'keep', 0).judge,
  onChange: () => () => {},
})

/** @throws MeshError MESH_REVOCATION_INVALID when a file named is not good at the start */
export async function openRevocations(options: RevocationsOptions): Promise<RevocationsHandle> {
  const { log, metrics, stale, now = Date.now } = options
  const common = {
    log,
    metrics,
    pollMs: Math.min(POLL_MS, options.pollMs ?? POLL_MS),
    debounceMs: DEBOUNCE_MS,
  }
  const listeners = new Set<() => void>()
  await using opening = new AsyncDisposableStack()
  const follow = async <T>(opened: Promise<Reloadable<T>>): Promise<Reloadable<T>> => {
    const file = opening.adopt(await opened, (one) => one.close())
    file.onChange(refresh)
    return file
  }

  let crls: Reloadable<CrlSet> | null = null
  let list: Reloadable<readonly RevocationEntry[]> | null = null
  if (options.crl !== null)
    crls = await follow(
      openReloadable<CrlSet>({
        ...common,
        what: 'crl',
        dir: dirname(options.crl),
        read: crlReader(options.crl, options.identity, () => crls?.current() ?? none(), now),
      }),
    )
  if (options.list !== null)
    list = await follow(
      openReloadable<readonly RevocationEntry[]>({
        ...common,
        what: 'revocations',
        dir: dirname(options.list),
        read: listReader(options.list),
      }),
    )

  let timer: NodeJS.Timeout | undefined
  let complained: number | null = null
  let moment = take()
  say()
  const resources = opening.move()

  function take(): JudgedMoment {
    const taken = judgeRevocations(list?.current() ?? [], crls?.current() ?? none(), stale, now())
    clearTimeout(timer)
    if (taken.until !== Number.POSITIVE_INFINITY)
      timer = setTimeout(refresh, Math.min(MAX_TIMER_MS, Math.max(1, taken.until - now()))).unref()
    return taken
  }

  function refresh(): void {
    moment = take()
    say()
    for (const listener of [...listeners]) listener()
  }

  function say(): void {
    const { nextUpdateMs } = moment
    if (nextUpdateMs === null) return
    metrics.crlNextUpdate(nextUpdateMs / 1000)
    if (nextUpdateMs > now() || complained === nextUpdateMs) return
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
    onChange(listener) {
      const own = () => listener()
      listeners.add(own)
      return () => listeners.delete(own)
    },
    problem: () => (moment.stale ? `the list ${options.crl} is out of date` : null),
    async reload() {
      await Promise.all([crls?.reload(), list?.reload()])
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
  identity: Pick<IdentityStore, 'current'>,
  inUse: () => CrlSet,
  now: () => number,
): () => Promise<Found<CrlSet>> {
  const read = createReader(path, MAX_CRL_FILE_BYTES)
  let refused: { reading: FileReading; generation: number; error: unknown } | null = null
  const isWorthAnotherLook = (error: unknown) =>
    error instanceof EarlyCrlError && now() >= error.fromMs
  return async () => {
    const reading = await read()
    const { bytes } = reading
    if (bytes === null) throw new MeshError('MESH_REVOCATION_INVALID', `there is no ${path}`)
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

function listReader(path: string): () => Promise<Found<readonly RevocationEntry[]>> {
  const read = createReader(path, MAX_LIST_BYTES)
  let stood = false
  return async () => {
    const reading = await read()
    // a list that goes away must not pardon everybody
    if (reading.bytes === null && stood)
      throw new MeshError('MESH_REVOCATION_INVALID', `${path} has gone`, {
        hint: 'write an empty list, { "revoked": [] }, to revoke nothing',
      })
    stood ||= reading.bytes !== null
    return { digest: reading.digest, parse: () => parseList(reading, path) }
  }
}

function none(): CrlSet {
  return new Map()
}
