/** Where agent hosts look for a SKILL.md, as their documentation says (docs/decisions/where-a-skill-is-put.md). */
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { SKILL_NAME } from './skill-text.ts'

export type SkillHost = 'agents' | 'claude' | 'codex' | 'gemini' | 'copilot' | 'cursor' | 'openclaw'

interface Place {
  readonly label: string
  /** Below the home directory, or below what the variable names. */
  readonly user: readonly string[]
  readonly variable?: string
  /** Below the project. */
  readonly project: readonly string[]
}

const PLACES: Readonly<Record<SkillHost, Place>> = {
  agents: {
    label: 'Codex, Gemini CLI, Copilot, Cursor, OpenClaw',
    user: ['.agents', 'skills'],
    project: ['.agents', 'skills'],
  },
  claude: {
    label: 'Claude Code',
    user: ['.claude', 'skills'],
    variable: 'CLAUDE_CONFIG_DIR',
    project: ['.claude', 'skills'],
  },
  codex: { label: 'Codex', user: ['.agents', 'skills'], project: ['.agents', 'skills'] },
  gemini: { label: 'Gemini CLI', user: ['.gemini', 'skills'], project: ['.gemini', 'skills'] },
  copilot: {
    label: 'GitHub Copilot',
    user: ['.copilot', 'skills'],
    project: ['.github', 'skills'],
  },
  cursor: { label: 'Cursor', user: ['.cursor', 'skills'], project: ['.cursor', 'skills'] },
  openclaw: {
    label: 'OpenClaw',
    user: ['.openclaw', 'skills'],
    variable: 'OPENCLAW_STATE_DIR',
    project: ['skills'],
  },
}

export const SKILL_HOSTS = Object.freeze(
  Object.keys(PLACES).filter((name): name is SkillHost => Object.hasOwn(PLACES, name)),
)
/** The shared place of the standard, and that of the one host that does not read it. Twice in one host would be a conflict. */
export const DEFAULT_HOSTS: readonly SkillHost[] = ['agents', 'claude']

export interface SkillFile {
  readonly host: SkillHost
  readonly label: string
  readonly path: string
}

/** @param project a directory; null: for this user, in all projects */
export function skillFile(
  host: SkillHost,
  env: Readonly<Record<string, string | undefined>>,
  project: string | null,
): SkillFile {
  const { label, user, variable, project: within } = PLACES[host]
  const file = (...parts: readonly string[]) => ({
    ...{ host, label },
    path: join(...parts, SKILL_NAME, 'SKILL.md'),
  })
  if (project !== null) return file(project, ...within)
  const named = variable === undefined ? '' : (env[variable] ?? '')
  // the variable stands for the first part, e.g. ~/.claude
  return isAbsolute(named) ? file(named, ...user.slice(1)) : file(env.HOME ?? homedir(), ...user)
}
