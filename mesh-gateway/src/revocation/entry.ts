/**
 * One entry of the gateway's own revocation list: what is refused, since when, why, until when, and by whom it was
 * revoked.
 */
import { isDnsLabel } from '@clawmesh/proto'

export const REVOCATION_KINDS = ['certificate', 'agent', 'txn', 'token'] as const
export type RevocationKind = (typeof REVOCATION_KINDS)[number]

export interface RevocationEntry {
  readonly kind: RevocationKind
  /** Fingerprint or serial number, SPIFFE ID, txn, jti. */
  readonly value: string
  /** For operators, up to 500 characters. */
  readonly reason: string | null
  /** ISO 8601, UTC. */
  readonly since: string
  /** ISO 8601, UTC. Null: for ever. */
  readonly until: string | null
  /** `tenant/agent`, when an agent revoked its own token; such entries count against shares. Null: an operator. */
  readonly by: string | null
}

export type NewEntry = Omit<RevocationEntry, 'by'> & Partial<Pick<RevocationEntry, 'by'>>

const FORMS: Readonly<Record<RevocationKind, RegExp>> = {
  // SHA-256 of the certificate, or its serial number
  certificate: /^(?:[0-9a-f]{64}|(?:[0-9a-f]{2}){1,20})$/,
  agent: /^spiffe:\/\/[^\s?#]{1,2000}$/,
  txn: /^[\w.:-]{1,128}$/,
  token: /^[\w.:-]{1,128}$/,
}
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z$/
const MAX_REASON = 500
const KEYS: ReadonlySet<string> = new Set(['kind', 'value', 'reason', 'since', 'until', 'by'])

export function isRevocationValue(kind: RevocationKind, value: string): boolean {
  return FORMS[kind].test(value)
}

/**
 * Parses an entry of a file; a string says what is wrong. Without a schema library, since a list may have a hundred
 * thousand entries.
 */
export function readEntry(from: unknown): RevocationEntry | string {
  if (typeof from !== 'object' || from === null) return 'an entry is not an object'
  for (const key of Object.keys(from))
    if (!KEYS.has(key)) return `an entry has the unknown key ${JSON.stringify(key)}`
  const field = (name: string): unknown => Reflect.get(from, name)
  const [kind, value, reason, since] = [
    field('kind'),
    field('value'),
    field('reason'),
    field('since'),
  ]
  const [until, by = null] = [field('until'), field('by')]
  if (!isKind(kind)) return `the kind of an entry is not one of ${REVOCATION_KINDS.join(', ')}`
  if (typeof value !== 'string' || !isRevocationValue(kind, value))
    return `the value of an entry names no ${kind}`
  if (reason !== null && (typeof reason !== 'string' || reason.length > MAX_REASON))
    return `the reason of an entry is neither null nor a text of up to ${MAX_REASON} characters`
  if (!isTime(since)) return 'the since of an entry is not a time'
  if (until !== null && !isTime(until)) return 'the until of an entry is neither null nor a time'
  if (by !== null && !isAgent(by)) return 'the by of an entry is neither null nor tenant/agent'
  return { kind, value, reason, since, until, by }
}

/** @param nowMs milliseconds since the epoch */
export function hasEnded({ until }: Pick<RevocationEntry, 'until'>, nowMs: number): boolean {
  return until !== null && Date.parse(until) <= nowMs
}

export function isKind(from: unknown): from is RevocationKind {
  return REVOCATION_KINDS.some((kind) => kind === from)
}

function isTime(from: unknown): from is string {
  return typeof from === 'string' && TIME.test(from) && !Number.isNaN(Date.parse(from))
}

function isAgent(from: unknown): from is string {
  if (typeof from !== 'string') return false
  const [tenant = '', agent = '', ...more] = from.split('/')
  return isDnsLabel(tenant) && isDnsLabel(agent) && more.length === 0
}
