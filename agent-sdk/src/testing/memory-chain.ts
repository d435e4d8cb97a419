/** Chains of delegation within the process: tokens as the gateway makes them, but without a signature. */
import {
  type Actor,
  actorsOf,
  METADATA_NARROW_DESTINATIONS,
  MeshError,
  uuidV7,
} from '@clawmesh/proto'
import type { Metadata } from '@grpc/grpc-js'

export interface MemoryChain {
  /** SPIFFE ID of the callee. */
  readonly aud: string
  readonly act: Actor
  /** Id of the tree. */
  readonly txn: string
  readonly delegation_id: string
  readonly parent_id?: string
  readonly hop: number
  /** Host patterns, a list for each agent that narrowed the chain: all of them must allow. */
  readonly narrowed: readonly (readonly string[])[]
}

export interface ChainLink {
  readonly caller: string
  readonly callee: string
  readonly id: string
  readonly parent: MemoryChain | null
  readonly metadata: Metadata
}

/** As `delegation.maxHops` where a test sets nothing. */
export const MAX_HOPS = 8

/** @throws MeshError MESH_CHAIN_LOOP_DETECTED, MESH_CHAIN_HOPS_EXCEEDED */
export function extendChain({ caller, callee, id, parent, metadata }: ChainLink): MemoryChain {
  const agents = [...agentsOf(parent), caller]
  if (agents.includes(callee)) throw new MeshError('MESH_CHAIN_LOOP_DETECTED')
  const hop = (parent?.hop ?? 0) + 1
  if (hop > MAX_HOPS) throw new MeshError('MESH_CHAIN_HOPS_EXCEEDED')
  const [narrow] = metadata.get(METADATA_NARROW_DESTINATIONS)
  return {
    aud: callee,
    act: { sub: caller, ...(parent === null ? {} : { act: parent.act }) },
    txn: parent?.txn ?? uuidV7(Date.now()),
    delegation_id: id,
    ...(parent === null ? {} : { parent_id: parent.delegation_id }),
    hop,
    narrowed: [
      ...(parent?.narrowed ?? []),
      ...(narrow === undefined
        ? []
        : [
            String(narrow)
              .split(',')
              .filter((each) => each !== ''),
          ]),
    ],
  }
}

/** The agents on whose behalf its holder acts. */
export function agentsOf(chain: MemoryChain | null): readonly string[] {
  return chain === null ? [] : actorsOf(chain.act)
}

export function writeToken(chain: MemoryChain): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part(chain)}.memory`
}

/** Of a token that `writeToken` has written. */
export function readToken(token: string): MemoryChain {
  const chain: MemoryChain = JSON.parse(
    Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(),
  )
  return chain
}

/** Patterns as policy writes them: `api.example.com`, `*.example.com`, `api.example.com:8443`. */
export function reaches(patterns: readonly string[], host: string, port: string): boolean {
  return patterns.some((pattern) => {
    const [name = '', only] = pattern.split(':')
    if (only !== undefined && only !== port) return false
    return name.startsWith('*.') ? host.endsWith(name.slice(1)) : name === host
  })
}
