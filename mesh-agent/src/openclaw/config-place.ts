/** Where OpenClaw 2026.9.6 reads its configuration and keeps its state, as its environment says. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export type Environment = Readonly<Record<string, string | undefined>>

export interface OpenClawPlace {
  /** openclaw.json, in JSON5. It need not be there. */
  readonly configFile: string
  readonly stateDir: string
}

/** @param config a file that counts before the environment */
export function openClawPlace(env: Environment, cwd: string, config?: string): OpenClawPlace {
  const home = pathOf(env.OPENCLAW_HOME, homeOf(env)) ?? homeOf(env)
  const profile = env.OPENCLAW_PROFILE?.trim() ?? ''
  const named = profile !== '' && profile.toLowerCase() !== 'default'
  const stateDir =
    pathOf(env.OPENCLAW_STATE_DIR, home) ?? join(home, named ? `.openclaw-${profile}` : '.openclaw')
  const configFile =
    config === undefined
      ? (pathOf(env.OPENCLAW_CONFIG_PATH, home) ?? join(stateDir, 'openclaw.json'))
      : resolve(cwd, config)
  return { configFile, stateDir }
}

/** OpenClaw is told that its configuration is another's to write. */
export function isReadOnly(env: Environment): boolean {
  return env.OPENCLAW_CONFIG_READONLY === '1' || env.OPENCLAW_NIX_MODE === '1'
}

function homeOf(env: Environment): string {
  return env.HOME ?? homedir()
}

function pathOf(text: string | undefined, home: string): string | null {
  const path = text?.trim() ?? ''
  if (path === '') return null
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : resolve(path)
}
