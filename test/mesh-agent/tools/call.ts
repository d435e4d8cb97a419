/** Calls the tools of one agent in a test, as a host would, and keeps what they log. */

import {
  createTools,
  type ToolContext,
  type ToolName,
  type ToolsOptions,
} from '@clawmesh/agent/tools'
import type { Agent, Log } from '@clawmesh/agent-sdk'

export interface LoggedLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export function callTools(
  agent: Agent,
  options: ToolsOptions & { readonly context?: Partial<ToolContext> } = {},
) {
  const lines: LoggedLine[] = []
  const keep = (level: LoggedLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message })
  const log: Log = {
    debug: () => {},
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  }
  const { context: always = {}, ...rest } = options
  const tools = createTools({ log, ...rest })
  return {
    lines,
    tools,
    call: (name: ToolName, args: unknown, context: Partial<ToolContext> = {}) =>
      tools.get(name).run(args, { agent, log, maxWaitMs: 30_000, ...always, ...context }),
    close: () => tools.close(),
  }
}

/** What stands between the marks, and what stands outside. */
export function blockOf(text: string): { readonly outside: string; readonly inside: string } {
  const [, before = '', inside = '', after = ''] =
    /^([\s\S]*)<<<UNTRUSTED-MESH-DATA [0-9a-f]{16}\n([\s\S]*)\nUNTRUSTED-MESH-DATA [0-9a-f]{16} END>>>([\s\S]*)$/.exec(
      text,
    ) ?? [undefined, text]
  return { outside: before + after, inside }
}
