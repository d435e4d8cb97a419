/** Is the plugin installed, accepted and enabled, with the settings that the relay has? */
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { readWhole } from '@clawmesh/agent-sdk/mesh'
import { valueAt } from '../json5-text.ts'
import { type MeshSettings, PLUGIN, settingsIn } from '../wanted-settings.ts'
import { type CheckResult, type Finding, result, SETUP } from './finding.ts'

export interface PluginFacts {
  /** Where its files are; null: nowhere that OpenClaw looks. */
  readonly dir: string | null
  /** In OpenClaw's index of installed plugins. Null: that cannot be said, or it needs no entry there. */
  readonly indexed: boolean | null
}

const ENTRY = ['plugins', 'entries', PLUGIN]
const PACKAGE = join('node_modules', '@clawmesh', 'openclaw-plugin')
const MAX_MANIFEST_BYTES = 256 * 1024
const INSTALL =
  'run `openclaw plugins install npm-pack:<file of the plugin> --force --accept-capabilities`'

export async function readPlugin(config: unknown, stateDir: string): Promise<PluginFacts> {
  for (const dir of textsAt(config, ['plugins', 'load', 'paths']).map((path) => resolve(path)))
    if (await isPlugin(dir)) return { dir, indexed: null }
  const projects = join(stateDir, 'npm', 'projects')
  const installed = await readdir(projects).catch(() => [])
  const places = [
    join(stateDir, 'extensions', PLUGIN),
    ...installed.map((one) => join(projects, one, PACKAGE)),
  ]
  for (const dir of places)
    if (await isPlugin(dir))
      return { dir, indexed: isIndexed(join(stateDir, 'state', 'openclaw.sqlite')) }
  return { dir: null, indexed: null }
}

async function isPlugin(dir: string): Promise<boolean> {
  try {
    const text = await readWhole(join(dir, 'openclaw.plugin.json'), {
      maxBytes: MAX_MANIFEST_BYTES,
    })
    return valueAt(JSON.parse(text.toString('utf8')), ['id']) === PLUGIN
  } catch {
    // no plugin, or none that OpenClaw could read
    return false
  }
}

/** OpenClaw 2026.9.6 keeps what is installed and accepted in this table. */
function isIndexed(file: string): boolean | null {
  try {
    const database = new DatabaseSync(file, { readOnly: true })
    try {
      const row = database
        .prepare(
          "select value_json from config_machine_state where state_key = 'plugins.installedIndex'",
        )
        .get()
      if (typeof row?.value_json !== 'string') return null
      return valueAt(JSON.parse(row.value_json), ['installRecords', PLUGIN]) !== undefined
    } finally {
      database.close()
    }
  } catch {
    // another version of OpenClaw, or a database that is busy: nothing can be said
    return null
  }
}

export function checkPlugin(
  config: unknown,
  mesh: Partial<MeshSettings>,
  { dir, indexed }: PluginFacts,
): CheckResult {
  const about = `the plugin ${PLUGIN} is installed and enabled${dir === null ? '' : `, from ${dir}`}`
  if (valueAt(config, ENTRY) === undefined)
    return result('plugin', about, {
      code: 'plugin-not-configured',
      what: `there is no plugins.entries.${PLUGIN}: the way out works without it, delegation does not`,
      todo: `for delegation, ${SETUP}`,
      note: true,
    })
  return result(
    'plugin',
    about,
    installedOf(dir, indexed),
    ...enabledOf(config),
    differenceOf(config, mesh),
  )
}

function installedOf(dir: string | null, indexed: boolean | null): Finding | null {
  if (dir === null)
    return {
      code: 'plugin-not-installed',
      what: 'its files are nowhere that OpenClaw looks',
      todo: INSTALL,
    }
  if (indexed !== false) return null
  return {
    code: 'plugin-not-accepted',
    what: 'its files are there, and OpenClaw has not accepted what it may do',
    todo: INSTALL,
  }
}

function enabledOf(config: unknown): Finding[] {
  const allow = textsAt(config, ['plugins', 'allow'])
  const faults: readonly (readonly [boolean, string, string, string])[] = [
    [
      valueAt(config, ['plugins', 'enabled']) === false,
      ...([
        'plugins-off',
        'plugins.enabled is false: no plugin runs',
        'run `openclaw config set plugins.enabled true`',
      ] as const),
    ],
    [
      valueAt(config, [...ENTRY, 'enabled']) === false,
      ...([
        'plugin-disabled',
        `plugins.entries.${PLUGIN}.enabled is false`,
        `run \`openclaw plugins enable ${PLUGIN}\``,
      ] as const),
    ],
    [
      textsAt(config, ['plugins', 'deny']).includes(PLUGIN),
      ...([
        'plugin-denied',
        `plugins.deny names ${PLUGIN}, and deny wins`,
        `take ${PLUGIN} out of plugins.deny, if that is not on purpose`,
      ] as const),
    ],
    [
      allow.length > 0 && !allow.includes(PLUGIN),
      ...(['plugin-not-allowed', `plugins.allow does not name ${PLUGIN}`, SETUP] as const),
    ],
  ]
  return faults.flatMap(([is, code, what, todo]) => (is ? [{ code, what, todo }] : []))
}

function differenceOf(config: unknown, mesh: Partial<MeshSettings>): Finding | null {
  const own = settingsIn(config)
  const names = (['identity', 'gateway', 'egress', 'listen', 'secretFile'] as const).filter(
    (name) => own[name] !== undefined && mesh[name] !== undefined && own[name] !== mesh[name],
  )
  if (names.length === 0) return null
  return {
    code: 'plugin-config-differs',
    what: `the plugin has another ${names.join(', ')} than this command was given`,
    todo: `${SETUP}, with the options that are right`,
  }
}

function textsAt(config: unknown, path: readonly string[]): string[] {
  const found = valueAt(config, path)
  return Array.isArray(found) ? found.filter((each) => typeof each === 'string') : []
}
