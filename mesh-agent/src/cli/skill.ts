/** `mesh-agent skill`: the SKILL.md that tells agent hosts when and how to delegate. */
import { resolve } from 'node:path'
import { printableJson } from '@clawmesh/proto'
import { type Command, Option } from 'commander'
import {
  DEFAULT_HOSTS,
  SKILL_HOSTS,
  type SkillFile,
  type SkillHost,
  skillFile,
} from '../skill/skill-places.ts'
import { skillText } from '../skill/skill-text.ts'
import type { End } from './exit-code.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly host?: readonly SkillHost[]
  readonly project?: string | true
  readonly force?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-agent skill install                  for this user, in all projects
  $ mesh-agent skill install --project        for this project
  $ mesh-agent skill install --host gemini
  $ mesh-agent skill list                     where it is, and how old

Without --host it goes to ~/.agents/skills, which Codex, Gemini CLI, Copilot,
Cursor and OpenClaw read, and to ~/.claude/skills for Claude Code.`

export function addSkill(program: Command, terminal: Terminal, end: End): void {
  const skill = program
    .command('skill')
    .description('the SKILL.md that tells agent hosts when and how to delegate')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)

  withPlace(skill.command('install'))
    .description('put it where the hosts look for it')
    .option('--force', 'overwrite a file that was changed')
    .option('--json', 'print the facts as JSON')
    .action(async (options: Options) => {
      const { installSkill, keptError } = await import('../skill/install-skill.ts')
      const done = []
      for (const file of filesOf(options, DEFAULT_HOSTS, terminal))
        done.push({ ...file, did: await installSkill(file.path, options.force === true) })
      if (options.json === true) terminal.print(printableJson(done, 2))
      else for (const { did, path, label } of done) terminal.print(`${did}: ${path} (${label})`)
      const kept = done.filter(({ did }) => did === 'kept')
      if (kept.length > 0) throw keptError(kept.map(({ path }) => path))
    })

  withPlace(skill.command('list'))
    .description('where it is, and whether it is outdated')
    .option('--json', 'print the facts as JSON')
    .action(async (options: Options) => {
      const { stateOfSkill } = await import('../skill/install-skill.ts')
      const found = []
      for (const file of filesOf(options, SKILL_HOSTS, terminal))
        found.push({ ...file, ...(await stateOfSkill(file.path)) })
      if (options.json === true) terminal.print(printableJson(found, 2))
      else
        for (const { state, version, path, label } of found)
          terminal.print(
            `${state.padEnd(9)} ${path} (${label})${version === null ? '' : `, version ${version}`}`,
          )
      const outdated = found.filter(({ state }) => state === 'outdated')
      if (outdated.length > 0) {
        terminal.say('hint: mesh-agent skill install brings it up to date')
        end(1)
      }
    })

  skill
    .command('show')
    .description('print it')
    .action(() => terminal.write(skillText()))
}

function withPlace(command: Command): Command {
  return command
    .addOption(new Option('--host <name...>', 'which hosts').choices(SKILL_HOSTS))
    .option('--project [dir]', 'in a project instead of for this user (default: here)')
}

/** Hosts that share a place have one file. */
function filesOf(
  { host, project }: Options,
  without: readonly SkillHost[],
  { env, cwd }: Terminal,
): SkillFile[] {
  const dir = project === undefined ? null : resolve(cwd, project === true ? '.' : project)
  const files = new Map<string, SkillFile>()
  for (const name of host ?? without) {
    const file = skillFile(name, env, dir)
    if (!files.has(file.path)) files.set(file.path, file)
  }
  return [...files.values()]
}
