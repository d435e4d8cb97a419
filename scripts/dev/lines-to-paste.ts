/** The commands that a newcomer pastes: they work as printed, from the root of the repository. */
import { TENANT, TRUST_DOMAIN } from './dev-identities.ts'
import type { Ports } from './ports.ts'
import { pasteable, shellWord } from './screen.ts'

export interface LinesOptions {
  /** The directory of the mesh, as it is written in commands: `.clawmesh`. */
  readonly dir: string
  readonly ports: Ports
  /** A delegation that has ended. */
  readonly delegationId: string
  /** What the researcher may fetch. */
  readonly url: string
}

export interface PasteableLine {
  readonly says: string
  /** Lines that make one command, or several. */
  readonly lines: readonly string[]
}

const SERVICE = 'clawmesh.delegation.v1.DelegationService'

export function linesToPaste({ dir, ports, delegationId, url }: LinesOptions): PasteableLine[] {
  const planner = `${dir}/planner`
  const peer = `researcher.${TENANT}.${TRUST_DOMAIN}`
  const own = `gateway.${TRUST_DOMAIN}`
  const gateway = `127.0.0.1:${ports.delegation}`
  const grpcurl = [
    'grpcurl',
    ...[`-cacert ${planner}/ca.crt`, `-cert ${planner}/tls.crt`, `-key ${planner}/tls.key`],
  ]
  const watch = `'{"delegation_id":"${delegationId}"}'`
  return [
    {
      says: 'what the researcher serves, called by its name',
      lines: pasteable([...grpcurl, `-authority ${peer}`, gateway, 'list']),
    },
    {
      says: 'the delegation once more, by x-mesh-target',
      lines: pasteable([
        ...grpcurl,
        `-authority ${own}`,
        `-H 'x-mesh-target: ${peer}'`,
        `-d ${watch}`,
        gateway,
        `${SERVICE}/Watch`,
      ]),
    },
    {
      says: 'who the gateway takes you for',
      lines: pasteable([
        ...grpcurl,
        `-authority ${own}`,
        gateway,
        'clawmesh.mesh.v1.MeshService/WhoAmI',
      ]),
    },
    {
      says: 'what the researcher may fetch, with a token of its own',
      lines: [
        ...pasteable([
          'TOKEN=$(npx mesh-gateway issue-token',
          `--config ${dir}/gateway.json`,
          `--tenant ${TENANT}`,
          '--agent-id researcher)',
        ]),
        ...pasteable([
          // by stdin: a command line is in the list of processes
          'echo "proxy-user = researcher:$TOKEN" | curl -sS -K -',
          `-x http://127.0.0.1:${ports.egress}`,
          shellWord(url),
        ]),
      ],
    },
  ]
}
