/** `mesh-pki backup`: backs a CA up into one encrypted archive, and restores it. */
import { addBackupCommands } from '@clawmesh/proto/backup'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { isCaFile, snapshotCa } from '../ca/backup-ca.ts'
import { MANIFEST } from '../ca/ca-files.ts'
import { proveRestored } from '../ca/prove-restored.ts'
import { VERSION } from '../version.ts'
import { caDirectory } from './ca-options.ts'
import type { Terminal } from './terminal.ts'

const EXAMPLES = {
  create: `  $ mesh-pki backup create --dir mesh-ca --out ca.age --passphrase-file pass`,
  verify: `  $ mesh-pki backup verify ca.age --passphrase-file pass`,
  restore: `  $ mesh-pki backup restore ca.age --dir mesh-ca --crl crl.pem \\
      --passphrase-file pass`,
}

const REMARK = `The passphrase is that of the archive. The keys in it have the passphrase of the
CA besides. \`age --decrypt ca.age | tar x\` opens the archive too.`

export function addBackup(program: Command, terminal: Terminal): void {
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  addBackupCommands(program, {
    kind: 'ca',
    what: 'a CA',
    version: VERSION,
    examples: EXAMPLES,
    remark: REMARK,
    addSourceOptions(command) {
      command
        .option('--dir <dir>', 'directory of the CA (default: MESH_PKI_DIR, or ./mesh-ca)')
        .option('--without-root-key', 'leave root.key out')
    },
    snapshot(options) {
      const dir = text(options.dir)
      return snapshotCa(
        caDirectory(terminal, dir === undefined ? {} : { dir }),
        options.withoutRootKey === true,
      )
    },
    addRestoreOptions(command) {
      command
        .option('--crl <file>', 'a published list: what it revokes must be revoked in the archive')
        .option('--keep-revocations', 'revoke what --crl or the replaced CA has revoked since')
    },
    restoring: (options) => ({
      accepts: isCaFile,
      lastName: MANIFEST,
      prove: (staged, before) =>
        proveRestored({
          staged,
          before,
          crlFile: text(options.crl) ?? null,
          keepRevocations: options.keepRevocations === true,
          nowMs: Date.now(),
        }),
    }),
    afterwards: (dir, { made }) => [
      `the CA is of ${made}: what it issued and revoked later is not in its records`,
      `sign a list now: mesh-pki crl --dir ${dir} --out crl.pem; another copy of this CA must not be used any more`,
    ],
    output: {
      print: (line) => terminal.print(line),
      say: (line) => terminal.say(line),
      columns,
    },
  })
}
