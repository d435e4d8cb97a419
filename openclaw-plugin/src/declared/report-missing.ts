/** Asks policy about all that is declared: one message for the operator names all that is missing, with the line to add. */
import { type Agent, type Explanation, MeshError } from '@clawmesh/agent-sdk'
import type { Declared } from './declarations.ts'

/** Null when nothing is missing, and when policy cannot be asked, which the agent itself has told. Never rejects. */
export async function missingOf(
  agent: Pick<Agent, 'explain' | 'explainHost'>,
  declared: Declared,
): Promise<string | null> {
  const missing: string[] = []
  const ask = async (
    what: string,
    names: ReadonlyMap<string, readonly string[]>,
    explain: (name: string) => Promise<Explanation>,
  ) => {
    for (const [name, by] of names) {
      // what a pattern names is asked of policy when it is used
      if (name.includes('*')) continue
      const why = await whyNot(() => explain(name))
      if (why !== null) missing.push(`the ${what} ${name}, which ${by.join(' and ')} needs: ${why}`)
    }
  }
  try {
    await ask('peer', declared.peers, (name) => agent.explain(name))
    await ask('host', declared.hosts, (name) => agent.explainHost(name))
  } catch (error) {
    if (error instanceof MeshError) return null
    throw error
  }
  return missing.length === 0 ? null : missing.join('; ')
}

/** @throws MeshError when policy cannot be asked */
async function whyNot(explain: () => Promise<Explanation>): Promise<string | null> {
  try {
    const { action, reason, hint, someRequests } = await explain()
    // a host that is allowed for certain methods or paths: the gateway judges each request
    return action === 'deny' && !someRequests ? (hint ?? reason ?? 'policy refuses it') : null
  } catch (error) {
    if (error instanceof TypeError) return error.message
    if (error instanceof MeshError && error.code === 'MESH_EXPLAIN_INVALID')
      return `${error.message}: write it in another way`
    throw error
  }
}
