/** The planner: an agent that delegates. Its parent says what is to be read, and hears how it goes. `planner.ts IDENTITY GATEWAY EGRESS`. */
import { createAgent } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { createAgentLog } from './agent-log.ts'
import { linkToParent } from './child-link.ts'
import { readMessage } from './message.ts'

const [identity = '', gateway = '', egress = ''] = process.argv.slice(2)
const agent = await createAgent({
  ...{ gateway, identity, egress },
  log: createAgentLog(process.stderr),
})

const link = linkToParent({
  stop: () => agent.close(),
  onMessage(value) {
    const message = readMessage(value)
    if (message?.kind === 'order') void carryOut(message.url)
  },
})
link.send({ kind: 'ready', port: 0 })

async function carryOut(url: string): Promise<void> {
  const began = performance.now()
  const delegation = agent.delegate('researcher', { skill: 'read', input: url, deadlineMs: 60_000 })
  try {
    for await (const event of delegation)
      if (event.kind === 'progress')
        link.send({ kind: 'progress', fraction: event.fraction, note: event.note })
    const result = await delegation.result()
    link.send({
      kind: 'outcome',
      delegationId: delegation.id,
      result: result.json(),
      durationMs: performance.now() - began,
    })
  } catch (error) {
    const { code, message, hint } = error instanceof MeshError ? error : unexpected(error)
    link.send({ kind: 'failure', delegationId: delegation.id, code, message, hint })
  }
}

function unexpected(error: unknown): { code: string; message: string; hint: string } {
  return { code: 'unexpected', message: String(error), hint: 'see .clawmesh/logs' }
}
