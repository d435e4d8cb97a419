/** The four tools of one host, and what they share: the tasks that are followed, and the register. */
import { silentLog } from '@clawmesh/agent-sdk'
import { TOOL_DEFINITIONS, type ToolName, type ToolResult } from '@clawmesh/proto/tools'
import { delegateTask } from './delegate-tool.ts'
import { fetchUrl } from './fetch-tool.ts'
import { FollowedTasks } from './followed-tasks.ts'
import { showPeers } from './peers-tool.ts'
import { createRegister } from './register.ts'
import { runSafely } from './run-safely.ts'
import { runTaskAction } from './task-tool.ts'
import type { Tool, ToolContext, Tools, ToolsOptions } from './tool.ts'

/**
 * @example
 * import { createAgent, silentLog } from '@clawmesh/agent-sdk'
 * import { createTools } from '@clawmesh/agent/tools'
 *
 * const agent = await createAgent({ gateway: '127.0.0.1:8443', identity: '.clawmesh/planner' })
 * const tools = createTools({ stateDir: '/var/lib/planner' })
 * const result = await tools.get('mesh_delegate').run(
 *   { peer: 'researcher', skill: 'summarize', input: 'https://example.com/' },
 *   { agent, workspaceDir: process.cwd(), maxWaitMs: 45_000, log: silentLog },
 * )
 * console.log(result.text)
 */
export function createTools(options: ToolsOptions = {}): Tools {
  const { log = silentLog, now = Date.now, stateDir = null } = options
  const { maxTextLength = 20_000, maxFileBytes = 256 * 1024 * 1024 } = options
  const register = createRegister(stateDir, log)
  const bounds = { maxTextLength, maxFileBytes, now }
  const followed = new FollowedTasks({ ...bounds, register, log })

  const tool = (
    name: ToolName,
    from: string,
    work: (args: unknown, context: ToolContext) => Promise<ToolResult>,
  ): Tool => ({
    ...TOOL_DEFINITIONS[name],
    run: (args, context) => runSafely(context, from, () => work(args, context)),
  })
  const all: Readonly<Record<ToolName, Tool>> = {
    mesh_delegate: tool('mesh_delegate', 'the peer', (args, context) =>
      delegateTask(followed, args, context),
    ),
    mesh_task: tool('mesh_task', 'the peer', (args, context) =>
      runTaskAction({ followed, register, now }, args, context),
    ),
    mesh_peers: tool('mesh_peers', 'the gateway', (args, context) =>
      showPeers(maxTextLength, args, context),
    ),
    mesh_fetch: tool('mesh_fetch', 'the destination', (args, context) =>
      fetchUrl(bounds, args, context),
    ),
  }
  return Object.freeze({
    list: Object.freeze(Object.values(all)),
    get: (name: ToolName) => all[name],
    close: () => followed.settled(),
  })
}
