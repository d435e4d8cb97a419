/** `mesh-pki verify`: checks whether an identity would be accepted. */
import { printableJson } from '@clawmesh/proto'
import { columns } from '@clawmesh/proto/command-line'
import type { Command } from 'commander'
import { verifyPath } from '../verify/verify-path.ts'
import type { Terminal } from './terminal.ts'

const EXAMPLES = `
Examples:
  $ mesh-pki verify planner                 against its own ca.crt
  $ mesh-pki verify planner --ca root.crt   against the roots that others trust
  $ mesh-pki verify tls.crt --ca root.crt   a certificate without its key`

/** @param fail called when the answer is no */
export function addVerify(program: Command, terminal: Terminal, fail: () => void): void {
  program
    .command('verify')
    .description('say whether an identity would be accepted, and every reason why not')
    .argument('<path>', 'identity directory, or PEM file with the leaf first')
    .option('--ca <file>', 'roots to trust (default: ca.crt of the directory)')
    .option('--json', 'print the facts as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, options: { readonly ca?: string; readonly json?: boolean }) => {
      const { ca, json } = options
      const result = await verifyPath({ path, ...(ca === undefined ? {} : { caFile: ca }) })
      terminal.print(
        json === true
          ? printableJson({ path, ...result }, 2)
          : columns(
              result.checks.map(({ name, ok, detail }) => [
                `${ok ? 'ok' : 'FAILED'}  ${name}`,
                detail,
              ]),
            ),
      )
      if (result.ok) return
      const failed = result.checks.filter(({ ok }) => !ok).map(({ name }) => name)
      terminal.say(`${path} would be refused: ${failed.join(', ')}`)
      terminal.say('hint: `mesh-pki inspect` shows what it holds; issue or sign it again')
      fail()
    })
}
