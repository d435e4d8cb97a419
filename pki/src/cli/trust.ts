/** `mesh-pki trust`: adds and removes further roots. */
import { resolve } from 'node:path'
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { changeTrust, readTrust } from '../ca/trusted-roots.ts'
import { replaceFile } from '../disk/replace-file.ts'
import { formatDate, formatName } from '../verify/words.ts'
import type { ParsedCertificate } from '../x509/parse-certificate.ts'
import { caDirectory } from './ca-options.ts'
import type { Terminal } from './terminal.ts'

interface TrustOptions {
  readonly dir?: string
  readonly remove?: string
  readonly out?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ mesh-pki trust                                what ca.crt gets
  $ mesh-pki trust new-ca/root.crt                that root as well, from now on
  $ mesh-pki trust --out ca.crt                   the file, for those who sign
  $ mesh-pki trust --remove old-ca/root.crt --dir new-ca`

export function addTrust(program: Command, terminal: Terminal): void {
  program
    .command('trust')
    .description('say which roots the CA hands out in ca.crt, to roll over from one CA to another')
    .argument('[file]', 'PEM file of a root to hand out as well')
    .option('--dir <dir>', 'directory of the CA (default: MESH_PKI_DIR, or ./mesh-ca)')
    .option('--remove <file>', 'PEM file of a root to hand out no more')
    .option('--out <file>', 'PEM file to write or replace with all of them')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, options: TrustOptions) => {
      const dir = caDirectory(terminal, options)
      const { remove, out } = options
      const changes = file !== undefined || remove !== undefined
      const roots = changes
        ? await changeTrust({
            dir,
            ...(file === undefined ? {} : { add: file }),
            ...(remove === undefined ? {} : { remove }),
          })
        : await readTrust(dir)
      if (out !== undefined)
        await replaceFile(resolve(out), roots.map(({ pem }) => pem).join(''), 0o644)
      terminal.print(
        options.json === true
          ? printableJson({ roots: roots.map(facts) }, 2)
          : roots.map(lines).join('\n\n'),
      )
      if (changes) terminal.say('next: issue again; each certificate brings these roots as ca.crt')
    })
}

function facts({ x509, fingerprint, notAfter }: ParsedCertificate) {
  return { subject: formatName(x509.subject), fingerprint, notAfter }
}

function lines(root: ParsedCertificate): string {
  const { subject, fingerprint, notAfter } = facts(root)
  return columns([
    ['root', subject],
    ['sha256', fingerprint],
    ['expires', formatDate(notAfter)],
  ])
}
