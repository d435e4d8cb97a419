/**
 * The running calls of the gateway's own services: data for the services that is not in metadata, and data from them
 * for the audit record. The gateway makes the ids of this table, because callers choose request ids.
 */
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { uuidV7 } from '@clawmesh/proto'

export const METADATA_FINGERPRINT = 'x-mesh-caller-fingerprint'
export const METADATA_OWN_CALL = 'x-mesh-own-call'
export const METADATA_NOT_AFTER = 'x-mesh-caller-not-after'

export interface OwnCall {
  readonly id: string
  /** The caller's certificate. */
  readonly certificate: PeerCertificate
  /** The `jti` of the egress token in the answer; null without one. */
  issuedJti: string | null
  /** The call that Explain was asked about; null before the question, and for other methods. */
  asked: Asked | null
}

/** In the caller's words, each cut to ASKED_CHARACTERS; null when absent. */
export interface Asked {
  readonly from: string | null
  readonly to: string | null
  readonly method: string | null
}

const ASKED_CHARACTERS = 256

export function asked(from: string, to: string, method: string): Asked {
  const cut = (text: string) => (text === '' ? null : text.slice(0, ASKED_CHARACTERS))
  return { from: cut(from), to: cut(to), method: cut(method) }
}

export interface OwnCalls {
  begin(certificate: PeerCertificate): OwnCall
  find(id: string): OwnCall | null
  end(call: OwnCall): void
}

export function createOwnCalls(): OwnCalls {
  const calls = new Map<string, OwnCall>()
  return {
    begin(certificate) {
      const call: OwnCall = { id: uuidV7(), certificate, issuedJti: null, asked: null }
      calls.set(call.id, call)
      return call
    },
    find: (id) => calls.get(id) ?? null,
    end: ({ id }) => void calls.delete(id),
  }
}
