/**
 * The configuration while the gateway runs (hot reload). The file is watched; live settings take effect as one
 * snapshot, changes of others cause a warning; a broken file leaves the old configuration in force.
 */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  createDisk,
  createListeners,
  type Disk,
  describeFileFault,
  type Log,
  readWhole,
} from '@clawmesh/agent-sdk/mesh'
import { accessHint, MeshError } from '@clawmesh/proto'
import { follow } from '../files/follow.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { valueOfKey } from './object-path.ts'
import { type ConfigSources, type ResolvedConfig, resolveConfig } from './resolve-config.ts'
import type { Config } from './schema.ts'
import { FILE_SETTINGS, SETTINGS } from './settings.ts'

export interface ConfigPlace extends Omit<ConfigSources, 'file'> {
  /** Null: no file. */
  readonly path: string | null
}

export interface LiveConfig {
  /** The configuration in force: live settings as they are now, the others as at the start. */
  current(): Config
  onChange(listener: (config: Config) => void): () => void
  reload(): Promise<boolean>
  close(): Promise<void>
}

const MAX_BYTES = 1024 * 1024

/** @throws MeshError MESH_CONFIG_INVALID */
export async function readConfig(place: ConfigPlace): Promise<ResolvedConfig> {
  return resolveConfig({ ...place, file: await readConfigFile(place) })
}

/** A configuration that never changes, e.g. one made by a program. */
export function fixedConfig(config: Config): LiveConfig {
  return {
    current: () => config,
    onChange: () => () => {},
    reload: async () => true,
    close: async () => {},
  }
}

/** Follows the file from which `started` was read. */
export async function followConfig(
  place: ConfigPlace,
  started: Config,
  options: { readonly log: Log; readonly metrics: Pick<Metrics, 'reload'> },
): Promise<LiveConfig> {
  const { path } = place
  if (path === null) return fixedConfig(started)
  const { log } = options
  const file = await follow<Config>({
    ...options,
    what: 'config',
    files: [resolve(place.cwd, path)],
    pollMs: started.reload.pollMs,
    async read(disk) {
      const found = await readConfigFile(place, disk)
      const digest = createHash('sha256')
        .update(found?.bytes ?? '')
        .digest('base64')
      return { digest, parse: () => resolveConfig({ ...place, file: found }).config }
    },
  })
  let current = merge(started, file.current())
  const listeners = createListeners<Config>((err) =>
    log.error({ err }, 'a listener to config failed'),
  )
  file.onChange((next) => {
    const fixed = [...SETTINGS, ...FILE_SETTINGS].filter(
      (one) =>
        !one.live && !isDeepStrictEqual(valueOfKey(started, one.key), valueOfKey(next, one.key)),
    )
    if (fixed.length > 0)
      log.warn(
        { settings: fixed.map((one) => one.key) },
        'these settings take effect when the gateway is started again',
      )
    current = merge(started, next)
    listeners.tell(current)
  })
  return {
    current: () => current,
    onChange: listeners.add,
    reload: () => file.reload(),
    close: () => file.close(),
  }
}

/** The live settings of `next`, the others of `started`; settings.ts says which are live, and a test compares. */
function merge(started: Config, next: Config): Config {
  return {
    ...started,
    drainMs: next.drainMs,
    log: next.log,
    keys: { ...started.keys, overlapMs: next.keys.overlapMs },
    delegation: {
      ...started.delegation,
      names: next.delegation.names,
      peers: next.delegation.peers,
    },
    tokens: {
      ...next.tokens,
      issuer: started.tokens.issuer,
      issuers: started.tokens.issuers,
    },
  }
}

/** Null: none was named. @throws MeshError MESH_CONFIG_INVALID */
export async function readConfigFile(
  place: ConfigPlace,
  disk: Disk = createDisk(),
): Promise<ConfigSources['file']> {
  if (place.path === null) return null
  const path = resolve(place.cwd, place.path)
  try {
    return { path: place.path, bytes: await readWhole(path, { maxBytes: MAX_BYTES, disk }) }
  } catch (error) {
    throw new MeshError(
      'MESH_CONFIG_INVALID',
      `cannot read the configuration ${place.path} (${describeFileFault(error)})`,
      {
        cause: error,
        hint: 'check the path given by --config or MESH_CONFIG',
        ...accessHint(error),
      },
    )
  }
}
