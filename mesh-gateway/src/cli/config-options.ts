/** The flags of a command's settings, and the configuration from flags, environment and file. */
import type { CommandPort } from '@clawmesh/proto/backup'
import { type ConfigPlace, readConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import { REQUIRED, SETTINGS } from '../config/settings.ts'
import type { Terminal } from '../process/terminal.ts'

/** @param keys settings that the command uses, e.g. `keys.dir`; null for all */
export function addConfigOptions<T extends Pick<CommandPort, 'option'>>(
  command: T,
  keys: readonly string[] | null,
): T {
  command.option('--config <file>', 'configuration file (MESH_CONFIG)')
  for (const { key, flag, value, help, env } of SETTINGS)
    if (keys === null || keys.includes(key))
      command.option(`--${flag} ${value}`, `${help} (${key}, ${env})`)
  return command
}

/** The sources of the configuration for this call. Required settings that the command does not use may be missing. */
export function configPlace(
  options: Readonly<Record<string, unknown>>,
  terminal: Terminal,
  keys: readonly string[] | null,
): ConfigPlace {
  const text = (name: string) => {
    const value = options[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    path: text('config') ?? (terminal.env.MESH_CONFIG || null),
    env: terminal.env,
    flags: Object.fromEntries(SETTINGS.map(({ flag }) => [flag, text(camelCase(flag))])),
    cwd: terminal.cwd,
    optional: keys === null ? [] : REQUIRED.filter((key) => !keys.includes(key)),
  }
}

export async function readCommandConfig(
  options: Readonly<Record<string, unknown>>,
  terminal: Terminal,
  keys: readonly string[],
): Promise<Config> {
  const { config, warnings } = await readConfig(configPlace(options, terminal, keys))
  for (const warning of warnings) terminal.say(`warning: ${warning}`)
  return config
}

/** The name that commander gives to the value of a flag. */
function camelCase(flag: string): string {
  return flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
