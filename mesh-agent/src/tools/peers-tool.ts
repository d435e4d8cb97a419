/** mesh_peers: the peers that policy lets this agent delegate to, what they can do by their own word, and which are away. */
import { type AllowedPeer, MeshError, type SkillDescription } from '@clawmesh/agent-sdk'
import {
  markUntrusted,
  PEERS_FIELDS,
  plainLineOf,
  readFields,
  type ToolResult,
} from '@clawmesh/proto/tools'
import { inTurns } from './in-turns.ts'
import { type ToolContext, traceOf } from './tool.ts'

const DELEGATE_METHOD = 'clawmesh.delegation.v1.DelegationService/Delegate'
const MAX_ASKED = 50
const AT_ONCE = 8
/** How long all peers together are waited for. */
const ASK_MS = 5_000
const MAX_DESCRIPTION = 600
const MAX_SCHEMA = 2_000

/** What is known of one peer. `described` by itself; `undescribed`: it is there; `away`; or the code of a refusal. */
interface PeerFacts {
  readonly peer: string
  readonly tenant: string
  readonly state: string
}

export async function listPeers(
  maxTextLength: number,
  args: unknown,
  context: ToolContext,
): Promise<ToolResult> {
  readFields(PEERS_FIELDS, args ?? {})
  const { agent, maxWaitMs, signal } = context
  const allowed = (await agent.peers(traceOf(context))).filter(takesTasks)
  const own = agent.identity.tenant
  const named = allowed.filter(({ agent: name }) => name !== '*')
  const tenants = allowed.filter(({ agent: name }) => name === '*').map(({ tenant }) => tenant)
  const deadline = AbortSignal.timeout(Math.min(ASK_MS, maxWaitMs))
  const until = signal === undefined ? deadline : AbortSignal.any([deadline, signal])
  const asked = await inTurns(named.slice(0, MAX_ASKED), AT_ONCE, (peer) =>
    describe(context, peer, own, until),
  )
  const facts = asked.map((one) => one.facts)
  const described = asked.filter(({ skills }) => skills.length > 0)
  const lines = [
    facts.length === 0 ? 'Policy names no single peer.' : 'You may give tasks to these peers:',
    ...facts.map(({ peer, state }) => `- ${peer}${NOTES[state] ?? ` (${state})`}`),
    ...(named.length > MAX_ASKED ? [`and ${named.length - MAX_ASKED} more`] : []),
    ...tenants.map((tenant) => `Any agent of the tenant ${tenant} may be asked, by its name.`),
  ]
  const words = described
    .flatMap(({ facts: { peer }, skills }) => skills.map((skill) => `${peer}: ${lineOf(skill)}`))
    .join('\n')
    .slice(0, maxTextLength)
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
}

interface Described {
  readonly facts: PeerFacts
  readonly skills: readonly SkillDescription[]
}

async function describe(
  context: ToolContext,
  { tenant, agent: name }: AllowedPeer,
  own: string,
  until: AbortSignal,
): Promise<Described> {
  const peer = tenant === own ? name : `${tenant}/${name}`
  const as = (state: string, skills: readonly SkillDescription[] = []) => ({
    ...{ facts: { peer, tenant, state }, skills },
  })
  if (until.aborted) return as('away')
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  const stop = () => resolve('late')
  until.addEventListener('abort', stop, { once: true })
  try {
    const skills = await Promise.race([context.agent.describe(peer, traceOf(context)), late])
    return skills === 'late' ? as('away') : as('described', skills)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    if (error.code === 'MESH_PEER_UNDESCRIBED') return as('undescribed')
    return as(AWAY.test(error.code) ? 'away' : error.code)
  } finally {
    until.removeEventListener('abort', stop)
  }
}

const AWAY = /^MESH_PEER_(?:UNRESOLVED|UNREACHABLE|LOST|DRAINING)$/

/** In the words of the peer: one line. */
function lineOf({ name, description, input }: SkillDescription): string {
  const about = description === '' ? '' : ` - ${plainLineOf(description, MAX_DESCRIPTION)}`
  const schema = input === null ? '' : `; input: ${JSON.stringify(input).slice(0, MAX_SCHEMA)}`
  return `${plainLineOf(name, 128)}${about}${plainLineOf(schema, MAX_SCHEMA + 20)}`
}

function takesTasks({ methods }: AllowedPeer): boolean {
  return methods.some(
    (method) =>
      method === '*' ||
      method === DELEGATE_METHOD ||
      (method.endsWith('/*') && DELEGATE_METHOD.startsWith(method.slice(0, -1))),
  )
}
