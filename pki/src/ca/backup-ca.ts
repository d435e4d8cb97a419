/**
 * The backup of a CA: which files it has, as of one moment, and how a restored directory is proven. Taken under the
 * lock, so that no renewal and no list is in the middle of it; certificates may be issued meanwhile, since their records
 * are only appended to.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type BackupSnapshot,
  isPlainName,
  openSnapshot,
  type SnapshotFile,
} from '@clawmesh/proto/backup'
import { fileFault, hasErrorCode } from '../disk/file-fault.ts'
import { ISSUED_FOLDER } from '../revocation/issued-records.ts'
import { REVOKED_FILE } from '../revocation/revoked-records.ts'
import { NUMBER_FILE } from '../revocation/sign-list.ts'
import { CA_FILES, FORMER, MANIFEST, ROOT_LIST_FILE, STAGED } from './ca-files.ts'
import { withCaLock } from './ca-lock.ts'
import { loadCa } from './load-ca.ts'
import { ALSO_TRUSTED_FILE } from './trusted-roots.ts'

const ROOT_KEY: string = 'root.key'
const OPTIONAL = [
  ROOT_KEY,
  ROOT_LIST_FILE,
  ALSO_TRUSTED_FILE,
  NUMBER_FILE,
  `intermediate.crt${STAGED}`,
  `intermediate.key${STAGED}`,
]
const REQUIRED = [MANIFEST, REVOKED_FILE, ...CA_FILES.filter((name) => name !== ROOT_KEY)]
const FOLDERS: Readonly<Record<string, RegExp>> = {
  [FORMER]: /^[0-9a-f]{1,64}\.(?:crt|key)$/,
  [ISSUED_FOLDER]: /^\d{4}-\d\d-\d\d\.jsonl$/,
}

/** True for the files of a CA, below its directory. */
export function isCaFile(name: string): boolean {
  const [folder = '', file, ...more] = name.split('/')
  if (file === undefined) return REQUIRED.includes(name) || OPTIONAL.includes(name)
  return more.length === 0 && FOLDERS[folder]?.test(file) === true
}

/**
 * @param withoutRootKey leaves root.key out
 * @throws MeshError MESH_PKI_NOT_FOUND, MESH_PKI_INVALID, MESH_BACKUP_INVALID, MESH_DISK_WRITE
 */
export async function snapshotCa(path: string, withoutRootKey: boolean): Promise<BackupSnapshot> {
  // a directory that is no CA, or a torn one, is reported before a lock file is created in it
  const { dir } = await loadCa(path)
  return withCaLock(dir, async () => {
    const files: SnapshotFile[] = [...REQUIRED, ...OPTIONAL]
      .filter((name) => !withoutRootKey || name !== ROOT_KEY)
      .map((name) => ({ name, path: join(dir, name), required: REQUIRED.includes(name) }))
    for (const [folder, form] of Object.entries(FOLDERS))
      for (const file of await filesIn(join(dir, folder)))
        if (form.test(file) && isPlainName(file))
          files.push({ name: `${folder}/${file}`, path: join(dir, folder, file), required: false })
    return openSnapshot(files)
  })
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((error: unknown): string[] => {
    if (hasErrorCode(error, 'ENOENT')) return []
    throw fileFault('MESH_PKI_INVALID', folder, error)
  })
  return names.sort()
}
