/** Words the errors of the file system: which path, and what is wrong with it. */
import { type ErrorCode, errorCode, MeshError } from '@clawmesh/proto'

const WORDS: Readonly<Record<string, string>> = Object.freeze({
  ENOENT: 'it does not exist',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EISDIR: 'it is a directory',
  ENOTDIR: 'part of the path is not a directory',
  ELOOP: 'too many symbolic links',
  EMFILE: 'too many open files',
})

/** In place of the error table's hint, which is about the content of the file. */
const HINTS: Readonly<Record<string, string>> = Object.freeze({
  ENOENT: 'check the path',
  ENOTDIR: 'check the path',
  EACCES: 'let this user read it',
  EISDIR: 'name a file',
})
const READING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'MESH_PKI_INVALID',
  'MESH_PKI_CSR_REFUSED',
])

/** @param given a hint that says more than the code and the cause do */
export function fileFault(
  code: ErrorCode,
  path: string,
  cause: unknown,
  given?: string,
): MeshError {
  const name = errorCode(cause)
  const hint = given ?? (READING.has(code) ? HINTS[name] : undefined)
  return new MeshError(code, `${path}: ${WORDS[name] ?? (name || 'it cannot be used')}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  })
}

export function hasErrorCode(error: unknown, code: string): boolean {
  return errorCode(error) === code
}
