/**
 * What mesh_peers answers at every door: the peers that policy names, which of them are away, and their skills in their
 * own words. A few peers are asked at once, each for a bounded time and with a bounded share of the text: no peer holds
 * the answer or crowds out another.
 */
import { MeshError } from '../mesh-error.ts'
import { inTurns } from './in-turns.ts'
import { type AllowedAgent, type NamedPeer, namedPeers } from './named-peers.ts'
import type { ToolResult } from './tool-result.ts'
import { markUntrusted, plainLineOf } from './untrusted.ts'

/** A skill in the words of its peer. */
export interface DescribedSkill {
  readonly name: string
  /** Empty without one. */
  readonly description: string
  /** JSON Schema; null where the peer does not say. */
  readonly input: boolean | Readonly<Record<string, unknown>> | null
}

export interface ListPeersOptions {
  readonly allowed: readonly AllowedAgent[]
  /** The tenant of the agent that asks. */
  readonly tenant: string
  /** @throws MeshError MESH_PEER_UNDESCRIBED when the peer is there and says nothing of its skills … */
  describe(peer: string): Promise<readonly DescribedSkill[]>
  /** How long all peers together are waited for at most, in milliseconds. Default and maximum 5,000. */
  readonly maxWaitMs?: number
  /** Ends the wait early. */
  readonly signal?: AbortSignal
  /** Of the words of all peers together, in UTF-16 code units. */
  readonly maxTextLength: number
}

const MAX_ASKED = 50
const AT_ONCE = 10
const ASK_MS = 5_000
const MAX_DESCRIPTION = 600
const MAX_SCHEMA = 2_000

/**
 * What is known of one peer. `described` by itself; `undescribed`: it is there; `away`; `unasked`: the wait had ended;
 * or the code of a refusal.
 */
interface PeerFacts extends NamedPeer {
  readonly state: string
}

interface Asked {
  readonly facts: PeerFacts
  readonly skills: readonly DescribedSkill[]
}

export async function listPeers(options: ListPeersOptions): Promise<ToolResult> {
  const { allowed, tenant, maxWaitMs = ASK_MS, maxTextLength } = options
  const { peers, tenants } = namedPeers(allowed, tenant)
  const named = peers.slice(0, MAX_ASKED)
  const rounds = Math.max(1, Math.ceil(named.length / AT_ONCE))
  const eachMs = Math.min(ASK_MS, maxWaitMs) / rounds
  const asked = await inTurns(named, AT_ONCE, (peer) => askOne(peer, eachMs, options))
  const facts = asked.map((one) => one.facts)
  const described = asked.filter(({ skills }) => skills.length > 0)
  const lines = [
    facts.length === 0 ? 'Policy names no single peer.' : 'You may give tasks to these peers:',
    ...facts.map(({ peer, state }) => `- ${peer}${NOTES[state] ?? ` (${state})`}`),
    ...(peers.length > MAX_ASKED ? [`and ${peers.length - MAX_ASKED} more`] : []),
    ...tenants.map((one) => `Any agent of the tenant ${one} may be asked, by its name.`),
  ]
  const words = wordsOf(described, maxTextLength)
  if (words !== '') lines.push('', 'Their skills:', markUntrusted('these peers', words))
  return {
    text: lines.join('\n'),
    isError: false,
    details: {
      ...{ peers: facts, any_of_tenants: tenants },
      output: Object.fromEntries(described.map(({ facts: { peer }, skills }) => [peer, skills])),
    },
  }
}

const NOTES: Readonly<Record<string, string>> = {
  described: '',
  undescribed: ' (says nothing of its skills)',
  away: ' (away)',
  unasked: ' (not asked)',
}

async function askOne(
  named: NamedPeer,
  eachMs: number,
  { describe, signal }: ListPeersOptions,
): Promise<Asked> {
  const as = (state: string, skills: readonly DescribedSkill[] = []): Asked => ({
    facts: { ...named, state },
    skills,
  })
  if (signal?.aborted) return as('unasked')
  const { promise: over, resolve } = Promise.withResolvers<'away' | 'unasked'>()
  const stop = () => resolve('unasked')
  signal?.addEventListener('abort', stop, { once: true })
  const timer = setTimeout(() => resolve('away'), eachMs)
  try {
    const skills = await Promise.race([describe(named.peer), over])
    return typeof skills === 'string' ? as(skills) : as('described', skills)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    if (error.code === 'MESH_PEER_UNDESCRIBED') return as('undescribed')
    return as(AWAY.test(error.code) ? 'away' : error.code)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

const AWAY = /^MESH_PEER_(?:UNRESOLVED|UNREACHABLE|LOST|DRAINING)$/

/** At most so many characters. What one peer leaves of its share is for those after it. */
function wordsOf(described: readonly Asked[], maxLength: number): string {
  let left = maxLength
  return described
    .map(({ facts: { peer }, skills }, index) => {
      const words = linesOf(peer, skills, Math.floor(left / (described.length - index))).join('\n')
      left -= words.length
      return words
    })
    .join('\n')
}

/** A line for each skill. A peer may describe a thousand: the rest is counted. */
function linesOf(peer: string, skills: readonly DescribedSkill[], maxLength: number): string[] {
  const lines: string[] = []
  let left = maxLength
  for (const skill of skills) {
    const line = formsOf(skill)
      .map((form) => `${peer}: ${form}`)
      .find(({ length }) => length < left)
    if (line === undefined) break
    left -= line.length + 1
    lines.push(line)
  }
  const more = skills.length - lines.length
  return more === 0 ? lines : [...lines, `${peer}: ${more} more skills, not shown`]
}

/** In the words of the peer, each one line: with the form of its input, without it, the name alone. */
function formsOf({ name, description, input }: DescribedSkill): readonly string[] {
  const short = plainLineOf(name, 128)
  const about = description === '' ? '' : ` - ${plainLineOf(description, MAX_DESCRIPTION)}`
  const schema = input === null ? '' : `; input: ${JSON.stringify(input).slice(0, MAX_SCHEMA)}`
  return [`${short}${about}${plainLineOf(schema, MAX_SCHEMA + 20)}`, `${short}${about}`, short]
}
