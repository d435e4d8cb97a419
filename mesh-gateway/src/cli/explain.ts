/** `mesh-gateway explain`: may an agent call another, and why. */
import type { Peer } from '@clawmesh/proto'
import { Command, InvalidArgumentError } from 'commander'
import { decideDelegation } from '../policy/index.ts'
import {
  type CommandOutput,
  dirOption,
  mustLoad,
  parsePeer,
  printExplanation,
  standardOutput,
} from './explanation.ts'
import { fileOf } from './policy.ts'

interface Options {
  readonly dir: string
  readonly from: Peer
  readonly to: Peer
  readonly method: string
  readonly withinChain?: true
  readonly json?: true
}

/** @param output default: stdout, stderr and the exit code of the process */
export function explainCommand(output: CommandOutput = standardOutput): Command {
  return new Command('explain')
    .description('may an agent call another, and why')
    .addOption(dirOption())
    .requiredOption('--from <tenant/agent>', 'the caller', parsePeer)
    .requiredOption('--to <tenant/agent>', 'the callee', parsePeer)
    .option(
      '--method <package.Service/Method>',
      'what is called',
      parseMethod,
      'clawmesh.delegation.v1.DelegationService/Delegate',
    )
    .option('--within-chain', 'the caller acts within a chain that the gateway signed')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  mesh-gateway explain --dir /etc/mesh/policy --from acme/planner --to globex/translator --method pkg.Svc/M',
    )
    .action(async (options: Options) => {
      const { dir, from: caller, to: callee, method } = options
      const policy = await mustLoad(dir)
      const withinChain = options.withinChain === true
      const decision = decideDelegation({ caller, callee, method, withinChain }, policy)
      const missing = decision.code === 'MESH_POLICY_NOT_ACCEPTED' ? callee.tenant : caller.tenant
      const names = {
        caller: `${caller.tenant}/${caller.agent}`,
        callee: `${callee.tenant}/${callee.agent}`,
      }
      printExplanation(output, {
        question: `${names.caller} to ${names.callee} (${method})`,
        facts: { plane: 'delegation', ...names, method, within_chain: withinChain },
        decision,
        file: fileOf(dir, decision.rule, missing, policy.files),
        json: options.json === true,
      })
    })
}

function parseMethod(text: string): string {
  const method = text.startsWith('/') ? text.slice(1) : text
  if (!/^[\w.]+\/\w+$/.test(method)) throw new InvalidArgumentError('write package.Service/Method')
  return method
}
