/**
 * What a relay says of itself to a program that has its secret, and the proof that both have it. Neither side sends the secret:
 * whatever else listens on the port learns nothing, and cannot pass for the relay.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Secret } from '@clawmesh/proto'

export interface RelayStatus {
  /** SPIFFE ID of the agent that the relay acts for. */
  readonly agent: string
  /** URL of the gateway's egress port. */
  readonly egress: string
  /** host:port of the gateway's delegation port. */
  readonly gateway: string
  readonly pid: number
  /** When it began to listen, milliseconds since the epoch. */
  readonly sinceMs: number
  /** Open connections of clients. */
  readonly connections: number
  /** Requests so far that showed a wrong secret, or none. */
  readonly denied: number
  /** Why it refused last, since something went through. Null: nothing is wrong. */
  readonly fault: RelayFault | null
}

export interface RelayFault {
  readonly code: string
  readonly message: string
  readonly hint: string
}

export const STATUS_TARGET = '/clawmesh-relay'
export const ASK_FIELD = 'clawmesh-relay-ask'
export const PROOF_FIELD = 'clawmesh-relay-proof'

const NONCE = /^([0-9a-f]{32})\.([0-9a-f]{64})$/

/** The value of the field by which the status is asked for. */
export function askWith(secret: Secret<string>): { readonly nonce: string; readonly ask: string } {
  const nonce = randomBytes(16).toString('hex')
  return { nonce, ask: `${nonce}.${proofOf(secret, 'ask', nonce)}` }
}

/** The nonce of somebody that has the secret; null for anybody else. */
export function nonceOf(ask: string | null, secret: Secret<string>): string | null {
  const [, nonce, proof] = NONCE.exec(ask ?? '') ?? []
  if (nonce === undefined || proof === undefined) return null
  return isSame(proof, proofOf(secret, 'ask', nonce)) ? nonce : null
}

export function proofOfAnswer(secret: Secret<string>, nonce: string, body: string): string {
  return proofOf(secret, 'answer', `${nonce}\n${body}`)
}

export function isProofOfAnswer(
  proof: string,
  ...answer: Parameters<typeof proofOfAnswer>
): boolean {
  return isSame(proof, proofOfAnswer(...answer))
}

function proofOf(secret: Secret<string>, what: 'ask' | 'answer', text: string): string {
  return createHmac('sha256', secret.reveal())
    .update(`clawmesh-relay ${what}\n${text}`)
    .digest('hex')
}

/** Both are digests. */
function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1')]
  return a.length === b.length && timingSafeEqual(a, b)
}
