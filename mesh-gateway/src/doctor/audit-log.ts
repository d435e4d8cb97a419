/** Checks whether the audit log can be written. Only looks, and creates no file. */
import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../process/error-code.ts'
import { type CheckResult, result, shellWord } from './finding.ts'

export interface AuditLogFacts {
  /** A path, or `stdout`. */
  readonly file: string
  /** Why it cannot be written; null when it can. */
  readonly error: string | null
  readonly freeBytes: number | null
}

const LEAST_FREE_BYTES = 100 * 1024 * 1024

export function checkAuditLog({ file, error, freeBytes }: AuditLogFacts): CheckResult {
  const dir = shellWord(dirname(file))
  if (error !== null)
    return result('audit log', file, {
      what: `${file} cannot be written (${error})`,
      why: 'the gateway does not start without its audit log, and is not ready while it cannot write it',
      todo: `mkdir -p ${dir} && chown "$(id -u)" ${dir}, or name another file by --audit-file`,
    })
  if (freeBytes !== null && freeBytes < LEAST_FREE_BYTES)
    return result('audit log', file, {
      what: `${Math.floor(freeBytes / 1024 / 1024)} MiB are free where ${file} is`,
      why: 'a full disk ends the audit log, and with it the readiness of the gateway',
      todo: `df -h ${dir}, then make room or rotate the log`,
    })
  return result('audit log', file)
}

export async function readAuditLog(file: string): Promise<AuditLogFacts> {
  if (file === 'stdout') return { file, error: null, freeBytes: null }
  try {
    const there = await stat(file).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    })
    if (there?.isDirectory() === true) return { file, error: 'EISDIR', freeBytes: null }
    if (there === null) await access(dirname(file), constants.W_OK | constants.X_OK)
    else await access(file, constants.W_OK)
    const { bavail, bsize } = await statfs(dirname(file))
    return { file, error: null, freeBytes: bavail * bsize }
  } catch (error) {
    return { file, error: codeOf(error), freeBytes: null }
  }
}
