/** `mesh-agent peers`: whom this agent may give tasks to. */
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
        show: ({ text }) => terminal.print(text),
      }),
    )
}
