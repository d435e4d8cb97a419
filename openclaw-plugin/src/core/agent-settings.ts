/** The settings of the plugin as options of the SDK's agent. */
import type { AgentOptions, Log } from '@clawmesh/agent-sdk'
import type { PluginConfig } from '../config/plugin-config.ts'

/** What a change of it needs a new agent for. */
export function connectionShape({
  gateway,
  identity,
  egress,
  names,
  tokenTtlMs,
}: PluginConfig): string {
  return JSON.stringify([gateway, identity, egress, Object.entries(names).sort(), tokenTtlMs])
}

export function agentOptions(config: PluginConfig, log: Log): AgentOptions {
  const { gateway, identity, egress, names, tokenTtlMs } = config
  return {
    ...{ gateway, identity, ...names, log },
    ...(egress === null ? {} : { egress }),
    ...(tokenTtlMs === null ? {} : { egressTokenTtlMs: tokenTtlMs }),
  }
}
