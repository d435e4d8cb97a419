/**
 * Calls of the gateway's own services while they run: what the services are to know of them that is not in metadata, and what
 * the audit record is to know of the services. Known by an id of the gateway's own, since request ids are the caller's.
 */
import type { PeerCertificate } from '@clawmesh/agent-sdk'
import { uuidV7 } from '@clawmesh/proto'

export interface OwnCall {
  readonly id: string
  /** Of the caller. */
  readonly certificate: PeerCertificate
  /** Of the egress token that the call has been answered with; null without one. */
  issuedJti: string | null
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
      const call: OwnCall = { id: uuidV7(), certificate, issuedJti: null }
      calls.set(call.id, call)
      return call
    },
    find: (id) => calls.get(id) ?? null,
    end: ({ id }) => void calls.delete(id),
  }
}
