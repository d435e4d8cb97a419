/**
 * The passphrase of an archive: the first line of a file or of a file descriptor, never an argument, which every user
 * of the machine can see.
 */

import { createReadStream } from 'node:fs'
import { errorCode } from '../error-code.ts'
import { MeshError } from '../mesh-error.ts'
import { Secret } from '../secret.ts'

export interface PassphraseSource {
  readonly passphraseFile?: string | undefined
  /** The number of an open descriptor of this process, e.g. 3. */
  readonly passphraseFd?: string | undefined
}

const MAX_BYTES = 4096
/** Shorter ones are refused for a new archive. */
const MIN_LENGTH = 12

/** @param isNew refuses a short one. @throws MeshError MESH_BACKUP_PASSPHRASE */
export async function readBackupPassphrase(
  { passphraseFile, passphraseFd }: PassphraseSource,
  isNew: boolean,
): Promise<Secret> {
  if (passphraseFd !== undefined && !/^\d{1,6}$/.test(passphraseFd))
    throw fault('--passphrase-fd is the number of a descriptor, e.g. 3')
  const name = passphraseFile ?? (passphraseFd === undefined ? null : `descriptor ${passphraseFd}`)
  if (name === null) throw fault('the passphrase of the archive is missing')
  const fd = passphraseFile === undefined ? Number(passphraseFd) : undefined
  const text = await readFrom(name, passphraseFile ?? '', fd)
  const passphrase = text.replace(/^\ufeff/, '').replace(/\r?\n$/, '')
  if (passphrase === '') throw fault(`there is no passphrase in ${name}`)
  if (/[\r\n]/.test(passphrase)) throw fault(`${name} has more than one line`)
  if (isNew && passphrase.length < MIN_LENGTH)
    throw fault(`the passphrase in ${name} is shorter than ${MIN_LENGTH} characters`)
  return new Secret(passphrase)
}

async function readFrom(name: string, path: string, fd: number | undefined): Promise<string> {
  const stream = createReadStream(path, fd === undefined ? {} : { fd })
  const pieces: Buffer[] = []
  let bytes = 0
  try {
    for await (const piece of stream) {
      const buffer = Buffer.from(piece)
      bytes += buffer.length
      if (bytes > MAX_BYTES) throw fault(`${name} is larger than ${MAX_BYTES} bytes`)
      pieces.push(buffer)
    }
  } catch (error) {
    throw error instanceof MeshError ? error : fault(`cannot read ${name} (${errorCode(error)})`)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function fault(message: string): MeshError {
  return new MeshError('MESH_BACKUP_PASSPHRASE', message)
}
