/** Reads a passphrase: from --passphrase-file, then MESH_PKI_PASSPHRASE, then a prompt on an interactive terminal. */
import { MeshError, Secret } from '@clawmesh/proto'
import { withoutByteOrderMark } from '../der/pem.ts'
import { readBounded } from '../disk/read-bounded.ts'
import { promptHidden } from './prompt.ts'
import type { Terminal } from './terminal.ts'

const MAX_BYTES = 4096
const VARIABLE = 'MESH_PKI_PASSPHRASE'

/** @param twice prompts a second time, since a typing error would be noticed too late. */
export async function readPassphrase(
  terminal: Terminal,
  file: string | undefined,
  twice: boolean,
): Promise<Secret> {
  if (file !== undefined) {
    const text = await readBounded(file, MAX_BYTES, 'MESH_PKI_PASSPHRASE')
    return notEmpty(withoutByteOrderMark(text).replace(/\r?\n$/, ''), `${file} is empty`)
  }
  const value = terminal.env[VARIABLE]
  if (value !== undefined) return notEmpty(value, `${VARIABLE} is empty`)
  if (!terminal.interactive)
    throw new MeshError(
      'MESH_PKI_PASSPHRASE',
      'no passphrase was given, and there is no terminal to ask at',
      {
        hint: `give it with --passphrase-file FILE or ${VARIABLE}`,
      },
    )
  const first = await promptHidden(terminal, 'passphrase of the CA: ')
  if (twice && (await promptHidden(terminal, 'once more: ')) !== first)
    throw new MeshError('MESH_PKI_PASSPHRASE', 'the two passphrases differ', { hint: 'try again' })
  return notEmpty(first, 'the passphrase is empty')
}

function notEmpty(value: string, message: string): Secret {
  if (value === '') throw new MeshError('MESH_PKI_PASSPHRASE', message)
  return new Secret(value)
}
