/** Puts the SKILL.md where a host looks for it. A file that somebody changed is left alone unless told otherwise. */
import { lstat, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { diskError, readWhole, writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { readSkill, type SkillState, skillText } from './skill-text.ts'

const MAX_BYTES = 256 * 1024

/** What stands there now; `missing`: nothing. */
export async function stateOfSkill(
  path: string,
): Promise<{ readonly state: SkillState | 'missing'; readonly version: string | null }> {
  try {
    const bytes = await readWhole(path, { maxBytes: MAX_BYTES })
    return readSkill(bytes.toString('utf8'))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'missing', version: null }
    // a directory, a device, a file of another user: nothing that we wrote
    return { state: 'changed', version: null }
  }
}

export type Installed = 'installed' | 'updated' | 'unchanged' | 'kept'

/**
 * @param force overwrites a file that somebody changed
 * @returns `kept`: it was changed, and is left alone
 * @throws MeshError MESH_DISK_WRITE
 */
export async function installSkill(path: string, force: boolean): Promise<Installed> {
  const { state } = await stateOfSkill(path)
  if (state === 'current') return 'unchanged'
  if (state === 'changed' && !force) return 'kept'
  try {
    await mkdir(dirname(path), { recursive: true })
    // a link would lead the file to another place: it is replaced only when told
    const link = await lstat(path).then(
      (found) => found.isSymbolicLink(),
      () => false,
    )
    if (link && !force) return 'kept'
  } catch (error) {
    throw diskError(path, error)
  }
  // nothing in it is a secret, and a project is shared
  await writeAtomic(path, skillText(), { mode: 0o644, synced: false })
  return state === 'missing' ? 'installed' : 'updated'
}

/** For a result that needs force. */
export function keptError(paths: readonly string[]): MeshError {
  return new MeshError(
    'MESH_CONFIG_INVALID',
    `changed by somebody, and left alone: ${paths.join(', ')}`,
    {
      hint: 'look at it, then give --force to overwrite it',
    },
  )
}
