/** The faults of archives, in words. */
import { errorCode } from '../error-code.ts'
import { MeshError } from '../mesh-error.ts'

/** @param what to be read after "the archive cannot be used:" */
export function invalidBackup(what: string, hint?: string): MeshError {
  return new MeshError('MESH_BACKUP_INVALID', `the archive cannot be used: ${what}`, {
    ...(hint === undefined ? {} : { hint }),
  })
}

export function otherKind(kind: 'ca' | 'gateway'): MeshError {
  return invalidBackup(
    `it is a backup of a ${kind === 'ca' ? 'CA' : 'gateway'}`,
    `use \`${kind === 'ca' ? 'mesh-pki' : 'mesh-gateway'} backup\` for it`,
  )
}

/** An error of the file system as a MeshError; others as they are. */
export function diskFault(
  path: string,
  error: unknown,
  doing: 'write' | 'read' = 'write',
): unknown {
  const code = errorCode(error)
  if (error instanceof MeshError || code === '') return error
  return new MeshError(
    doing === 'write' ? 'MESH_DISK_WRITE' : 'MESH_BACKUP_INVALID',
    `cannot ${doing} ${path} (${code})`,
    { cause: error, ...(doing === 'read' ? { hint: 'this user must be able to read it' } : {}) },
  )
}
