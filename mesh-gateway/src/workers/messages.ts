/**
 * The messages between a supervisor and its workers. Both run the same program, and no other process has the channel.
 */
import type { KeyId } from '@clawmesh/proto/pkcs11'
import type { Asking, Answer as Fact, Kind } from '../admin/api/facts.ts'
import type { Missing, StatusRow } from '../admin/status-page.ts'
import type { Config } from '../config/schema.ts'
import type { Cancel } from '../delegation/mcp/running-requests.ts'
import type { Answer, Question } from '../limits/limits-server.ts'
import type { ListenAddress } from '../net/port.ts'
import type { SampledMetric } from '../telemetry/metrics-format.ts'
import type { Fault } from './faults.ts'

export type ToWorker =
  | Begin
  | { readonly kind: 'config'; readonly config: Config }
  | { readonly kind: 'tickets'; readonly keys: string }
  | { readonly kind: 'passed-on'; readonly ok: boolean }
  | { readonly kind: 'answers'; readonly answers: readonly Answer[] }
  | { readonly kind: 'report' }
  /** A question of the admin port; its answer has the same id. */
  | { readonly kind: 'ask'; readonly id: number; readonly asking: Asking }
  /** Everything is read anew; its answer has the same id. */
  | { readonly kind: 'reload'; readonly id: number }
  | { readonly kind: 'cancel'; readonly cancel: Cancel }
  | Signed
  | { readonly kind: 'drain'; readonly graceMs: number }

/** The data that a worker needs to start. */
export interface Begin {
  readonly kind: 'begin'
  /** Counts from 1. */
  readonly worker: number
  /** The configuration at the start of the supervisor. */
  readonly config: Config
  /** The current configuration. */
  readonly live: Config
  readonly admin: ListenAddress
  /** The keys of TLS session tickets, base64. */
  readonly tickets: string
  readonly passedOn: boolean
}

export type FromWorker =
  | { readonly kind: 'hello' }
  | Ready
  | Failed
  | { readonly kind: 'questions'; readonly questions: readonly Question[] }
  /** For all workers. */
  | { readonly kind: 'cancel'; readonly cancel: Cancel }
  | Sign
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'fact'; readonly id: number; readonly fact: Fact[Kind] | null }
  /** With what could not be read, and keeps its last good version. */
  | { readonly kind: 'reloaded'; readonly id: number; readonly faults: readonly Missing[] }

export interface Ready {
  readonly kind: 'ready'
  /** SPIFFE ID. */
  readonly identity: string
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number
  readonly addresses: Readonly<Record<'egress' | 'delegation', ListenAddress>>
  readonly names: readonly string[]
}

/** The worker could not start. */
export interface Failed extends Fault {
  readonly kind: 'failed'
}

/** To be signed by the token of the signing keys. */
export interface Sign {
  readonly kind: 'sign'
  readonly id: number
  readonly key: KeyId
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string
  /** base64 */
  readonly data: string
}

/** The answer to `sign` of the same id. */
export interface Signed {
  readonly kind: 'signed'
  readonly id: number
  /** base64; empty with a fault. */
  readonly signature: string
  readonly fault: Fault | null
}

export interface Report {
  readonly missing: readonly Missing[]
  readonly degraded: readonly Missing[]
  readonly status: readonly StatusRow[]
  readonly names: readonly string[]
  readonly metrics: readonly SampledMetric[]
}

const TO_WORKER: readonly unknown[] = [
  'begin',
  'config',
  'tickets',
  'passed-on',
  'answers',
  'report',
  'ask',
  'reload',
  'cancel',
  'signed',
  'drain',
] satisfies readonly ToWorker['kind'][]
const FROM_WORKER: readonly unknown[] = [
  'hello',
  'ready',
  'failed',
  'questions',
  'cancel',
  'sign',
  'report',
  'fact',
  'reloaded',
] satisfies readonly FromWorker['kind'][]

/** Checks the kind only: the same program has written the rest. */
export function isToWorker(value: unknown): value is ToWorker {
  return isObject(value) && 'kind' in value && TO_WORKER.includes(value.kind)
}

export function isFromWorker(value: unknown): value is FromWorker {
  return isObject(value) && 'kind' in value && FROM_WORKER.includes(value.kind)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
