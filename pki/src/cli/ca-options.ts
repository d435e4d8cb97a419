/** The options with which commands find and open the CA. */
import { Secret } from '@clawmesh/proto'
import type { Command } from 'commander'
import { hasPassphrase } from '../ca/ca-keys.ts'
import { type Ca, openCa, readCaInfo } from '../ca/open-ca.ts'
import { readPassphrase } from './passphrase.ts'
import type { Terminal } from './terminal.ts'

export interface CaOptions {
  readonly dir?: string
  readonly passphraseFile?: string
}

const DEFAULT_CA_DIR = 'mesh-ca'

export function withCaOptions(command: Command): Command {
  return command
    .option('--dir <dir>', 'directory of the CA (default: MESH_PKI_DIR, or ./mesh-ca)')
    .option('--passphrase-file <file>', 'file with the passphrase of the CA')
}

export function caDirectory(terminal: Terminal, options: CaOptions): string {
  return options.dir ?? terminal.env.MESH_PKI_DIR ?? DEFAULT_CA_DIR
}

export async function openCaOf(terminal: Terminal, options: CaOptions): Promise<Ca> {
  const dir = caDirectory(terminal, options)
  // a missing CA is reported before the passphrase prompt
  await readCaInfo(dir)
  return openCa({ dir, passphrase: await passphraseOf(terminal, dir, options, null) })
}

/** Nobody is asked for the passphrase of keys in a token. @param rootKeyFile null: the key of the root is not needed */
export async function passphraseOf(
  terminal: Terminal,
  dir: string,
  { passphraseFile }: CaOptions,
  rootKeyFile: string | null,
): Promise<Secret> {
  if (!(await hasPassphrase(dir, rootKeyFile))) return new Secret('')
  return readPassphrase(terminal, passphraseFile, false)
}
