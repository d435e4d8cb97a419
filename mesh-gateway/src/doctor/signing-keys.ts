/** Checks the keys that sign tokens. */
import { MeshError } from '@clawmesh/proto'
import { span } from '../text/time-span.ts'
import { type RingContent, readRing, readRingContent } from '../tokens/key-ring-file.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

/** The age over which a signing key was probably forgotten. */
const OLD_MS = 90 * 86_400_000

export interface SigningKeyFacts {
  readonly dir: string
  /** Null: there are none. */
  readonly ring: RingContent | MeshError | null
  readonly nowMs: number
}

export function checkSigningKeys({ dir, ring, nowMs }: SigningKeyFacts): CheckResult {
  const flag = `--keys-dir ${shellWord(dir)}`
  if (ring === null)
    return result('signing keys', dir, {
      what: `there are no signing keys in ${dir}`,
      why: 'no token verifies until the first start makes them, and tokens of other keys never will',
      todo: 'mesh-gateway start makes them; if there were some, copy them back',
    })
  if (ring instanceof MeshError)
    return result('signing keys', dir, {
      what: ring.message,
      why: 'the gateway does not start without them; one that runs keeps those that it had',
      todo: `mesh-gateway keys list ${flag}`,
    })
  const active = ring.keys.find((key) => key.role === 'active')
  const about = `${dir}: ${active?.kid ?? 'none'} signs, ${ring.keys.length} in all`
  return result('signing keys', about, old(active?.created, nowMs, flag), next(ring, flag))
}

function old(created: string | undefined, nowMs: number, flag: string): Finding | null {
  const ageMs = created === undefined ? 0 : nowMs - Date.parse(created)
  if (ageMs < OLD_MS) return null
  return {
    what: `the key that signs is ${span(ageMs)} old and due to end`,
    why: 'the longer a key signs, the more a copy of it is worth',
    todo: `mesh-gateway keys rotate ${flag}`,
  }
}

function next({ keys }: RingContent, flag: string): Finding | null {
  if (keys.some((key) => key.role === 'next')) return null
  return {
    what: 'no next key is published',
    why: 'after a rotation, verifiers that keep the key set for a while would refuse fresh tokens',
    todo: `mesh-gateway keys rotate ${flag}`,
  }
}

/** Proves every key of the ring. */
export async function readSigningKeys(dir: string): Promise<SigningKeyFacts['ring']> {
  try {
    const ring = await readRingContent(dir)
    if (ring !== null) (await readRing(dir)).parse()
    return ring
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  }
}
