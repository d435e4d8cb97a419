/**
 * Tools of OpenClaw 2026.9.6 that reach beyond the task of a peer when its turn has them. Some are never given: what they begin is
 * no longer part of the task, so neither its end nor its chain would hold it.
 */

export interface ToolReach {
  /** The configuration may not give it to a caller. */
  readonly refused: boolean
  /** What it does, after "it". */
  readonly does: string
}

const refused = (does: string): ToolReach => ({ refused: true, does })
const wide = (does: string): ToolReach => ({ refused: false, does })

const LATER = refused('begins turns after the task has ended, in the name of this agent')
const HOST = refused('changes OpenClaw itself')
const OTHERS = refused("writes into conversations of this agent's user")
const READS = wide("reads conversations of this agent's user")
const FILES = wide('changes files that later turns of this agent read as instructions')
const NETWORK = wide('reaches the network with the rights of this agent, past the chain')
const MACHINE = wide('acts on machines and screens, past the chain')
const ALL = wide('runs any program, with all rights of this agent, past the chain')

const REACHES: ReadonlyMap<string, ToolReach> = new Map(
  Object.entries({
    ...{ cron: LATER, automations: LATER, suggest_task: LATER },
    ...{ gateway: HOST, plugins: HOST, openclaw: HOST },
    ...{ sessions: OTHERS, sessions_send: OTHERS, message: OTHERS },
    ...{ conversations_send: OTHERS, conversations_turn: OTHERS },
    ...{ sessions_list: READS, sessions_history: READS, sessions_search: READS },
    ...{ conversations_list: READS, memory_search: READS, memory_get: READS },
    ...{ write: FILES, edit: FILES, apply_patch: FILES, skill_workshop: FILES },
    ...{ web_fetch: NETWORK, web_search: NETWORK, x_search: NETWORK, browser: NETWORK },
    ...{ nodes: MACHINE, computer: MACHINE, screen: MACHINE },
    ...{ exec: ALL, bash: ALL, process: ALL, code_execution: ALL, terminal: ALL },
  }),
)

/** Null for a tool that stays within the task, or is not OpenClaw's own. */
export function reachOf(tool: string): ToolReach | null {
  return REACHES.get(tool.toLowerCase()) ?? null
}
