/** What a turn tells its caller while it runs: text, tools by name, and in the end what it used. */

import { plainLineOf } from '@clawmesh/agent/tools'
import type { TaskContext } from '@clawmesh/agent-sdk'
import type { EmbeddedRunResult, HostAgentEvent } from '../host/openclaw-types.ts'

export function tellEvent(context: TaskContext, { stream, data }: HostAgentEvent): void {
  if (stream === 'assistant' && typeof data.delta === 'string' && data.delta !== '')
    context.message(data.delta)
  // names of tools are ours; their arguments and results may hold what the caller must not see
  if (stream === 'tool' && data.phase === 'start' && typeof data.name === 'string')
    context.status(`uses ${plainLineOf(data.name, 100)}`)
}

export function tellUsage(context: TaskContext, { meta }: EmbeddedRunResult): void {
  const { usage } = meta.agentMeta ?? {}
  const amounts = {
    input_tokens: usage?.input,
    output_tokens: usage?.output,
    cache_read_tokens: usage?.cacheRead,
    cache_write_tokens: usage?.cacheWrite,
  }
  const used = Object.entries(amounts).flatMap(([name, amount]) =>
    amount !== undefined && Number.isFinite(amount) && amount > 0 ? [[name, amount] as const] : [],
  )
  if (used.length > 0) context.usage(Object.fromEntries(used))
}
