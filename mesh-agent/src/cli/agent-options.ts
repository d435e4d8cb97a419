/** The options that say which agent a command acts as, and where its gateway is. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { AgentOptions, Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/proto'
import { type Command, Option } from 'commander'

export interface AgentFlags {
  readonly identity: string
  readonly gateway: string
  readonly egress?: string
  readonly egressPortCa?: string
  readonly state?: string
}

export function withAgentOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--identity <dir>', 'directory with tls.crt, tls.key and ca.crt')
        .env('MESH_AGENT_IDENTITY')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--gateway <host:port>', "the gateway's delegation port")
        .env('MESH_AGENT_GATEWAY')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--egress <url>', "the gateway's egress port, for fetch").env('MESH_AGENT_EGRESS'),
    )
    .addOption(
      new Option(
        '--egress-port-ca <file>',
        'PEM of CAs for an https egress port, besides those of the mesh',
      ).env('MESH_AGENT_EGRESS_PORT_CA'),
    )
}

export function withStateOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--state <dir>',
      'where the tasks given to peers are remembered (default: by user and agent)',
    ).env('MESH_AGENT_STATE'),
  )
}

/** @throws MeshError MESH_CONFIG_INVALID */
export async function readAgentOptions(flags: AgentFlags, log: Log): Promise<AgentOptions> {
  const { identity, gateway, egress, egressPortCa } = flags
  if (!/^(?:\[[0-9a-fA-F:]+\]|[^\s:/[\]]+):\d{1,5}$/.test(gateway))
    throw new MeshError('MESH_CONFIG_INVALID', `${gateway} is no address of a gateway`, {
      hint: '--gateway is host:port, e.g. 127.0.0.1:8443',
    })
  if (egress !== undefined && !(URL.canParse(egress) && /^https?:/.test(egress)))
    throw new MeshError('MESH_CONFIG_INVALID', `${egress} is no URL of an egress port`, {
      hint: '--egress is a URL, e.g. http://127.0.0.1:8080',
    })
  return {
    ...{ identity: resolve(identity), gateway, log },
    ...(egress === undefined ? {} : { egress }),
    ...(egressPortCa === undefined ? {} : { egressPortCa: await readCa(egressPortCa) }),
  }
}

async function readCa(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MeshError('MESH_CONFIG_INVALID', `${file} cannot be read`, {
      cause,
      hint: '--egress-port-ca is a file with certificates in PEM',
    })
  })
}
