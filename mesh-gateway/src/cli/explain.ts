/** `mesh-gateway explain`: whether an agent may call another, and why. policy/decide/explain.ts gives the answer. */
import type { Peer } from '@clawmesh/proto'
import { Command, InvalidArgumentError, Option } from 'commander'
import { DEFAULT_METHOD, parseMethodName } from '../policy/index.ts'
import type { Terminal } from '../process/terminal.ts'
import {
  addPolicyPlace,
  answer,
  type CommandOutput,
  type PolicyPlace,
  parsePeer,
} from './explanation.ts'

interface Options extends PolicyPlace {
  readonly from: Peer
  readonly to: Peer
  readonly method: string
  readonly withinChain?: true
  readonly json?: true
}

export function explainCommand(
  output: CommandOutput,
  place: Pick<Terminal, 'env' | 'cwd'>,
): Command {
  return addPolicyPlace(new Command('explain'))
    .description('may an agent call another, and why')
    .requiredOption('--from <tenant/agent>', 'the caller', parsePeer)
    .requiredOption('--to <tenant/agent>', 'the callee', parsePeer)
    .addOption(
      new Option('--method <package.Service/Method>', 'what is called')
        .argParser(parseMethod)
        .default(DEFAULT_METHOD, 'Delegate, of the mesh'),
    )
    .option('--within-chain', 'the caller acts within a chain that the gateway signed')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mesh-gateway explain --from acme/planner --to globex/translator',
    )
    .action(async (options: Options) => {
      const { from, to, method } = options
      const withinChain = options.withinChain === true
      await answer({ plane: 'delegation', from, to, method, withinChain }, options, place, output)
    })
}

function parseMethod(text: string): string {
  const method = parseMethodName(text)
  if (method === null) throw new InvalidArgumentError('write package.Service/Method')
  return method
}
