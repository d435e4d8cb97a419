/** `mesh-agent peers`: whom this agent may give tasks to. */
import { plainLineOf, type ToolResult } from '@clawmesh/proto/tools'
import type { Command } from 'commander'
import { type AgentFlags, withAgentOptions } from './agent-options.ts'
import type { End } from './exit-code.ts'
import { runTool } from './run-when-needed.ts'
import type { Terminal } from './terminal.ts'

const PEERS_MS = 30_000

export function addPeers(program: Command, terminal: Terminal, end: End): void {
  withAgentOptions(program.command('peers'))
    .description('whom this agent may give tasks to')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', '\nExample:\n  $ mesh-agent peers --identity /etc/mesh --gateway gw:8443')
    .action((options: AgentFlags & { readonly json?: boolean }) =>
      runTool({
        ...{ tool: 'mesh_peers', args: {}, flags: options, maxWaitMs: PEERS_MS, terminal, end },
        onInterrupt: 'leaving',
        show: ({ details }) => terminal.print(peersIn(details)),
      }),
    )
}

/** A line for each peer, and below it its skills, in its own words. */
function peersIn({ peers, output, any_of_tenants: tenants }: ToolResult['details']): string {
  const lines: string[] = []
  for (const one of Array.isArray(peers) ? peers : []) {
    const { peer, state }: { peer: string; state: string } = one
    lines.push(state === 'described' ? peer : `${peer}  (${state})`)
    const skills: unknown =
      typeof output === 'object' && output !== null && Reflect.get(output, peer)
    for (const skill of Array.isArray(skills) ? skills : []) {
      const { name, description }: { name: string; description: string } = skill
      lines.push(`  ${plainLineOf(`${name}  ${description}`, 500)}`)
    }
  }
  for (const tenant of Array.isArray(tenants) ? tenants : []) lines.push(`${tenant}/*`)
  return lines.length === 0 ? 'policy names no peer' : lines.join('\n')
}
