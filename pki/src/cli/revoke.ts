/** `mesh-pki revoke`: revokes certificates. */
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import { type Command, InvalidArgumentError } from 'commander'
import { revoke } from '../ca/open-ca.ts'
import type { RevocationTarget } from '../ca/revoke.ts'
import { isReason, REASON_CODES, type RevocationReason } from '../revocation/reasons.ts'
import type { RevokedRecord } from '../revocation/revoked-records.ts'
import { formatDate } from '../verify/words.ts'
import { caDirectory } from './ca-options.ts'
import type { Terminal } from './terminal.ts'

interface RevokeOptions {
  readonly dir?: string
  readonly serial?: string
  readonly spiffeId?: string
  readonly reason?: RevocationReason
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-pki revoke planner --reason keyCompromise  of a directory or file
  $ mesh-pki revoke --serial 5a0c...                as \`mesh-pki inspect\` has it
  $ mesh-pki revoke --spiffe-id spiffe://mesh.internal/tenant/acme/agent/planner
  $ mesh-pki revoke mesh-ca/intermediate.crt        and all that it issued
  $ mesh-pki crl --out crl.pem                      then: the list that says so`

export function addRevoke(program: Command, terminal: Terminal): void {
  const command: Command = program
    .command('revoke')
    .description('write down that certificates are revoked; the next `mesh-pki crl` says so')
    .argument('[path]', 'identity directory, or PEM file with the leaf first')
    .option('--dir <dir>', 'directory of the CA (default: MESH_PKI_DIR, or ./mesh-ca)')
    .option('--serial <hex>', 'by serial number')
    .option('--spiffe-id <id>', 'every certificate of that name that has not expired')
    .option('--reason <reason>', Object.keys(REASON_CODES).join(', '), parseReason)
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string | undefined, options: RevokeOptions) => {
      const target = targetOf(path, options)
      if (target === null)
        return command.error('error: give one of: a path, --serial or --spiffe-id')
      const { reason = 'unspecified' } = options
      const { revoked, already, hasIntermediate } = await revoke({
        dir: caDirectory(terminal, options),
        target,
        reason,
      })
      terminal.print(
        options.json === true
          ? printableJson({ revoked, already }, 2)
          : [...revoked, ...already].map(facts).join('\n\n'),
      )
      if (revoked.length === 0) terminal.say('revoked before; nothing has changed')
      if (hasIntermediate)
        terminal.say('an intermediate is among them: all that it issued is refused with it')
      terminal.say(
        hasIntermediate
          ? 'next: mesh-pki renew intermediate --new-key --root-key FILE, issue again, then mesh-pki crl --out crl.pem'
          : 'next: mesh-pki crl --out crl.pem, where gateways read it',
      )
    })
}

function facts(record: RevokedRecord): string {
  return columns([
    ...(record.spiffeId === null ? [] : [['SPIFFE ID', record.spiffeId] as const]),
    ['serial', record.serial],
    ['revoked', `${formatDate(record.revoked)}, ${record.reason}`],
    ['expires', formatDate(record.notAfter)],
  ])
}

function targetOf(
  path: string | undefined,
  { serial, spiffeId }: RevokeOptions,
): RevocationTarget | null {
  const given = [path, serial, spiffeId].filter((each) => each !== undefined)
  if (given.length !== 1) return null
  if (path !== undefined) return { path }
  if (serial !== undefined) return { serial }
  return spiffeId === undefined ? null : { spiffeId }
}

function parseReason(text: string): RevocationReason {
  if (isReason(text)) return text
  throw new InvalidArgumentError(`it is one of ${Object.keys(REASON_CODES).join(', ')}.`)
}
