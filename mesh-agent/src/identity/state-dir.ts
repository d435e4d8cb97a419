/** Where mesh-agent keeps what has to outlive a process: by user and by agent, as the XDG Base Directory specification has it. */
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** Of all agents of this user. @param env `XDG_STATE_HOME` counts when it is an absolute path */
export function stateHome(env: Readonly<Record<string, string | undefined>>): string {
  const named = env.XDG_STATE_HOME ?? ''
  const home = isAbsolute(named) ? named : join(homedir(), '.local', 'state')
  return join(home, 'clawmesh')
}

/** Of one agent, named by where its identity is: two agents of one machine never share a register. */
export function stateDirOf(
  env: Readonly<Record<string, string | undefined>>,
  identity: { readonly trustDomain: string; readonly tenant: string; readonly agent: string },
): string {
  const { trustDomain, tenant, agent } = identity
  return join(stateHome(env), trustDomain, tenant, agent)
}
