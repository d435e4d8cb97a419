/**
 * Calls of the gateway's own services while they run: what the services are to know of them that is not in metadata, and what
 * the audit record is to know of the services. Known by an id of the gateway's own, since request ids are the caller's.
 */
import type { PeerCertificate } from '@clawmesh/agent-sdk/mesh'
import { uuidV7 } from '@clawmesh/proto'

export const METADATA_FINGERPRINT = 'x-mesh-caller-fingerprint'
export const METADATA_OWN_CALL = 'x-mesh-own-call'
export const METADATA_NOT_AFTER = 'x-mesh-caller-not-after'

export interface OwnCall {
  readonly id: string
  /** Of the caller. */
  readonly certificate: PeerCertificate
  /** Of the egress token that the call has been answered with; null without one. */
  issuedJti: string | null
  /** What the services were asked about; null before, and of those that are not about a call. */
  asked: Asked | null
}

/** In the caller's words, cut to ASKED_CHARACTERS each; null where it has said nothing. */
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
