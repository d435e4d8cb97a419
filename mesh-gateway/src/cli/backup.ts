/** `mesh-gateway backup`: backs a gateway up into one encrypted archive, and restores it. */
import { resolve } from 'node:path'
import { addBackupCommands, type CommandPort, type GivenOptions } from '@clawmesh/proto/backup'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { CONFIG_NAME, DIRECTORY_NAMES, FILE_NAMES, isGatewayFile } from '../backup/names.ts'
import { proveRestored } from '../backup/prove-restored.ts'
import { snapshotGateway } from '../backup/snapshot-gateway.ts'
import type { Terminal } from '../process/terminal.ts'
import { VERSION } from '../version.ts'
import { addConfigOptions, configPlace } from './config-options.ts'

const EXAMPLES = {
  create: `  $ mesh-gateway backup create --config gateway.json --out gw.age \\
      --passphrase-file pass`,
  verify: `  $ mesh-gateway backup verify gw.age --passphrase-file pass`,
  restore: `  $ mesh-gateway backup restore gw.age --dir /var/lib/mesh \\
      --passphrase-file pass
  $ mesh-gateway start --config /var/lib/mesh/gateway.json`,
}

const REMARK = `\`age --decrypt gw.age | tar x\` opens the archive too.`

const USED = ['trustDomain', ...Object.keys(DIRECTORY_NAMES), ...Object.keys(FILE_NAMES)]

export function addBackup(program: Command, terminal: Terminal): void {
  addBackupCommands(program, {
    kind: 'gateway',
    what: 'a gateway',
    version: VERSION,
    examples: EXAMPLES,
    remark: REMARK,
    addSourceOptions(command: CommandPort) {
      addConfigOptions(command, USED)
      command.option(
        '--include <files...>',
        'further files, e.g. the task store of an agent that is stopped',
      )
    },
    snapshot: (options) => snapshotGateway(configPlace(options, terminal, null), filesOf(options)),
    addRestoreOptions(command) {
      command
        .option(
          '--compare <config>',
          'configuration of a gateway that runs: what it has revoked must be revoked in the archive',
        )
        .option(
          '--keep-revocations',
          'revoke what that one, or the replaced one, has revoked since',
        )
    },
    restoring: (options) => ({
      accepts: isGatewayFile,
      lastName: CONFIG_NAME,
      prove: (staged, before) =>
        proveRestored({
          staged,
          before,
          compareWith: compared(options, terminal),
          keepRevocations: options.keepRevocations === true,
          nowMs: Date.now(),
        }),
    }),
    afterwards: (dir, { made }) => [
      `the gateway is of ${made}: what was revoked later is not in it`,
      `start it with --config ${dir}/${CONFIG_NAME}, as the user that owns these files; its certificate may have ended meanwhile`,
    ],
    output: {
      print: (line) => terminal.print(line),
      say: (line) => terminal.say(line),
      columns,
    },
  })
}

function filesOf({ include }: GivenOptions): readonly string[] {
  return Array.isArray(include) ? include.map(String) : []
}

function compared({ compare }: GivenOptions, terminal: Terminal) {
  if (typeof compare !== 'string') return null
  return { path: resolve(terminal.cwd, compare), env: {}, flags: {}, cwd: terminal.cwd }
}
