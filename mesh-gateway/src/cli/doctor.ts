/** `mesh-gateway doctor`: finds common faults, and says how to fix them. */
import path from 'node:path'
import { formatPeerName, MeshError, printable, printableJson } from '@clawmesh/proto'
import { type Command, InvalidArgumentError } from 'commander'
import { readConfig } from '../config/live-config.ts'
import type { Config } from '../config/schema.ts'
import { routeOf } from '../delegation/route.ts'
import { examine } from '../doctor/examine.ts'
import type { CheckResult } from '../doctor/finding.ts'
import type { PeerTarget } from '../doctor/read-peer-facts.ts'
import type { Terminal } from '../process/terminal.ts'
import { addConfigOptions, configPlace } from './config-options.ts'
import type { CommandOutput } from './explanation.ts'

interface Options {
  readonly agent?: string
  readonly peer?: string
  readonly json?: true
}

const EXAMPLES = `
Examples:
  $ mesh-gateway doctor --config gateway.json
  $ mesh-gateway doctor --agent /etc/mesh/planner   do both trust each other
  $ mesh-gateway doctor --peer acme/researcher      its name, port, certificate

It changes nothing, and can run beside the gateway. Exit code 0: nothing found,
1: something found.`

export function addDoctor(program: Command, terminal: Terminal, output: CommandOutput): void {
  const command = program
    .command('doctor')
    .description('find the usual faults, and what to do about them')
    .option('--agent <dir>', 'the identity directory of an agent, to compare with the gateway’s')
    .option('--peer <name>', 'tenant/agent or a full name: resolve, dial and verify it', peerValue)
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
  addConfigOptions(command, null).action(
    async (options: Options & Readonly<Record<string, unknown>>) => {
      const config = await configOrFault(options, terminal)
      const results = await examine({
        config,
        env: terminal.env,
        nodeVersion: process.version,
        ...(options.agent === undefined
          ? {}
          : { agentDir: path.resolve(terminal.cwd, options.agent) }),
        ...(options.peer === undefined || config instanceof MeshError
          ? {}
          : { peer: targetOf(options.peer, config.meshDomain) }),
      })
      const findings = results.flatMap((one) => one.findings)
      const ok = findings.length === 0
      output.result(
        options.json === true
          ? `${printableJson({ ok, checks: results.map(asFacts) })}\n`
          : asLines(results),
      )
      if (ok) return
      output.note(`${findings.length} ${findings.length === 1 ? 'finding' : 'findings'}`)
      output.failed()
    },
  )
}

async function configOrFault(
  options: Readonly<Record<string, unknown>>,
  terminal: Terminal,
): Promise<Config | MeshError> {
  try {
    const { config, warnings } = await readConfig(configPlace(options, terminal, null))
    for (const warning of warnings) terminal.say(`warning: ${warning}`)
    return config
  } catch (error) {
    if (error instanceof MeshError) return error
    throw error
  }
}

/** Its tenant must be said: the gateway serves several. */
function peerValue(text: string): string {
  if (/[/.]/.test(text)) return text
  throw new InvalidArgumentError('write tenant/agent, e.g. acme/researcher, or a full name.')
}

/** @throws MeshError MESH_ROUTE_MALFORMED, MESH_ROUTE_UNKNOWN */
function targetOf(text: string, meshDomain: string): PeerTarget {
  const [tenant, agent, ...rest] = text.split('/')
  const short = tenant !== undefined && agent !== undefined && rest.length === 0
  const name = short ? formatPeerName({ tenant, agent }, meshDomain) : text
  const route = routeOf(name, { meshDomain, own: new Set() })
  if (route.kind !== 'peer') throw new MeshError('MESH_ROUTE_UNKNOWN')
  return route
}

function asFacts({ check, about, findings }: CheckResult): object {
  return { check, ok: findings.length === 0, about, findings }
}

function asLines(results: readonly CheckResult[]): string {
  const width = Math.max(...results.map(({ check }) => check.length)) + 2
  const indent = ' '.repeat(6)
  return results
    .flatMap(({ check, about, findings }) =>
      findings.length === 0
        ? [`fine  ${check.padEnd(width)}${printable(about)}`]
        : findings.flatMap(({ what, why, todo }) => [
            `BAD   ${check.padEnd(width)}${printable(what)}`,
            `${indent}${'why'.padEnd(width)}${printable(why)}`,
            `${indent}${'do'.padEnd(width)}${printable(todo)}`,
          ]),
    )
    .join('\n')
}
