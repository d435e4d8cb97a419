/** Builds the command line, runs it, and words its errors. */
import { explainError, usageFault } from '@clawmesh/proto/command-line'
import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { addBackup } from './backup.ts'
import { addCrl } from './crl.ts'
import { addInit } from './init.ts'
import { addInspect } from './inspect.ts'
import { addIssue } from './issue.ts'
import { addRenew } from './renew.ts'
import { addRevoke } from './revoke.ts'
import { addSign } from './sign.ts'
import { plainTerminal, type Terminal } from './terminal.ts'
import { addTrust } from './trust.ts'
import { addVerify } from './verify.ts'

/** 0 success, 1 refused or failed, 2 wrong usage. */
export type ExitCode = 0 | 1 | 2

const EXAMPLES = `
Examples:
  $ mesh-pki init --trust-domain mesh.internal     make a CA in ./mesh-ca
  $ mesh-pki issue gateway --name gw --tenant acme --out gw
  $ mesh-pki issue agent --tenant acme --agent planner --out planner
  $ mesh-pki sign --csr planner.csr --tenant acme --agent planner --out tls.crt
  $ mesh-pki renew intermediate --root-key root.key   before it ends
  $ mesh-pki trust new-ca/root.crt                 two roots, to roll over
  $ mesh-pki revoke planner --reason keyCompromise
  $ mesh-pki crl --out crl.pem                     what gateways refuse
  $ mesh-pki inspect planner                       who, until when, by whom
  $ mesh-pki verify planner --ca root.crt          would it be accepted

The passphrase of the CA is read from --passphrase-file, from
MESH_PKI_PASSPHRASE, or asked for.`

/** Fixed, for any terminal: the examples are written for this width. */
const HELP_COLUMNS = 80

/** @param args without the names of node and the script */
export async function runCommand(args: readonly string[], given: Terminal): Promise<ExitCode> {
  const terminal = plainTerminal(given)
  const outcome: { code: ExitCode } = { code: 0 }
  const fail = () => {
    outcome.code = 1
  }
  const program = new Command('mesh-pki')
    .description('A private certificate authority for a mesh of agents.')
    .helpCommand(false)
    .version(VERSION, '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureHelp({ helpWidth: HELP_COLUMNS })
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.writeError(text),
      outputError: (text) => terminal.say(usageFault(text)),
    })
  addInit(program, terminal)
  addIssue(program, terminal)
  addSign(program, terminal)
  addRenew(program, terminal)
  addTrust(program, terminal)
  addRevoke(program, terminal)
  addCrl(program, terminal)
  addBackup(program, terminal)
  addInspect(program, terminal)
  addVerify(program, terminal, fail)
  try {
    await program.parseAsync(args, { from: 'user' })
    return outcome.code
  } catch (error) {
    return explainError(error, { args, program, say: terminal.say })
  }
}
