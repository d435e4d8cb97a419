/** Asks policy about all that is declared, and tells the operator in one message what is missing, with the line to add. */
import type { Agent, Log } from '@clawmesh/agent-sdk'
import type { Declared } from './declarations.ts'

/** Never rejects: a gateway that is away is told by the agent itself, and asked again with the next change. */
export async function reportMissing(agent: Agent, declared: Declared, log: Log): Promise<void> {
  const missing: string[] = []
  const failed: string[] = []
  for (const [name, by] of declared.peers) {
    if (name.endsWith('*')) continue
    try {
      const { action, reason, hint } = await agent.explain(name)
      if (action === 'deny')
        missing.push(
          `the peer ${name}, which ${by.join(' and ')} needs: ${hint ?? reason ?? 'policy refuses it'}`,
        )
    } catch (error) {
      failed.push(`the peer ${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (missing.length > 0)
    log.warn({}, `policy does not allow all that is declared: ${missing.join('; ')}`)
  if (failed.length > 0) log.warn({}, `policy could not be asked about ${failed.join('; ')}`)
}
