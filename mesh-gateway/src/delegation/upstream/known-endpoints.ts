/**
 * The addresses that DNS has named for a peer, by their mark: a replica that leaves DNS still holds its delegations.
 */
import { type Endpoint, keyOf } from './locate.ts'
import type { ReplicaMarks } from './replica.ts'

export interface KnownEndpoints {
  know(endpoint: Endpoint): void
  byMark(mark: string): Endpoint | null
}

/** @param max over it, the address that DNS named longest ago is evicted */
export function createKnownEndpoints(marks: ReplicaMarks, max: number): KnownEndpoints {
  const known = new Map<string, Endpoint>()
  let marked = new Map<string, Endpoint>()
  let generation: number | null = null

  return {
    know(endpoint) {
      const key = keyOf(endpoint)
      if (!known.has(key)) generation = null
      known.delete(key)
      known.set(key, endpoint)
      const oldest = known.size > max ? known.keys().next().value : undefined
      if (oldest !== undefined) known.delete(oldest)
    },
    byMark(mark) {
      if (generation !== marks.generation()) {
        generation = marks.generation()
        marked = new Map()
        for (const endpoint of known.values())
          for (const one of marks.all(endpoint.ip, endpoint.port)) marked.set(one, endpoint)
      }
      return marked.get(mark) ?? null
    },
  }
}
