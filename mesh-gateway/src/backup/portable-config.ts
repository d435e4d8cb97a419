/**
 * The configuration as a backup stores it: what the file, the environment and the flags say, with the paths of a
 * restored directory in place of those of this machine.
 */
import { MeshError } from '@clawmesh/proto'
import { type ConfigPlace, readConfigFile } from '../config/live-config.ts'
import { isObject, setKey, valueOfKey } from '../config/object-path.ts'
import { override } from '../config/resolve-config.ts'
import type { Config } from '../config/schema.ts'
import { SETTINGS } from '../config/settings.ts'
import { readStrictJson } from '../policy/read/strict-json.ts'
import { DIRECTORY_NAMES, FILE_NAMES, ISSUERS_DIR } from './names.ts'

/** @throws MeshError MESH_CONFIG_INVALID */
export async function portableConfig(place: ConfigPlace, config: Config): Promise<string> {
  const file = await readConfigFile(place)
  const { value } = file === null ? { value: {} } : readStrictJson(file.bytes)
  // it was valid a moment ago
  if (!isObject(value)) throw new MeshError('MESH_CONFIG_INVALID')
  const portable = structuredClone(value)
  for (const setting of SETTINGS) {
    const [text] = override(setting, place)
    if (text !== undefined) setKey(portable, setting.key, text)
    const name = DIRECTORY_NAMES[setting.key] ?? FILE_NAMES[setting.key]
    const path = valueOfKey(config, setting.key)
    if (!setting.path || typeof path !== 'string') continue
    // what is not backed up keeps its place
    setKey(portable, setting.key, name ?? path)
  }
  const issuers = valueOfKey(portable, 'tokens.issuers')
  if (Array.isArray(issuers))
    setKey(
      portable,
      'tokens.issuers',
      issuers.map((entry, index) => withNames(entry, index)),
    )
  return `${JSON.stringify(portable, null, 2)}\n`
}

export function issuerFile(index: number, key: 'caFile' | 'tokenFile'): string {
  return `${ISSUERS_DIR}/${index}-${key === 'caFile' ? 'ca.pem' : 'token'}`
}

function withNames(entry: unknown, index: number): unknown {
  if (!isObject(entry)) return entry
  const named = (['caFile', 'tokenFile'] as const).filter((key) => typeof entry[key] === 'string')
  return { ...entry, ...Object.fromEntries(named.map((key) => [key, issuerFile(index, key)])) }
}
