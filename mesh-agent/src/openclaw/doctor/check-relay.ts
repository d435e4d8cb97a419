/** Is the relay there, is it ours, and does it get through? */
import type { RelayFound } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import type { MeshSettings } from '../wanted-settings.ts'
import { type CheckResult, type Finding, result } from './finding.ts'

const NOT_THERE: Readonly<
  Record<Exclude<RelayFound['kind'], 'relay'>, (listen: string) => Finding>
> = {
  nobody: (listen) => ({
    code: 'relay-not-running',
    what: `nothing listens on ${listen}: every request of OpenClaw fails with ECONNREFUSED`,
    todo: 'start `mesh-agent relay`, or OpenClaw with the plugin, which starts it',
  }),
  stranger: (listen) => ({
    code: 'relay-port-taken',
    what: `what listens on ${listen} does not have the secret of the relay`,
    todo: 'stop OpenClaw, which sends it the secret of the relay; find out what it is (`ss -ltnp`); then run `mesh-agent openclaw setup --renew-secret`, with --listen for another port',
  }),
  silent: (listen) => ({
    code: 'relay-silent',
    what: `what listens on ${listen} does not answer`,
    todo: 'restart the relay; if it is another program, choose another port with `mesh-agent openclaw setup --listen`',
  }),
}

export function checkSecret(
  secret: unknown,
  { secretFile }: Pick<MeshSettings, 'secretFile'>,
): CheckResult {
  const about = `${secretFile} is readable by this user alone`
  if (!(secret instanceof MeshError)) return result('secret', about)
  return result('secret', about, {
    code: 'relay-secret-unusable',
    what: secret.message,
    todo: secret.hint,
  })
}

/** @param agent SPIFFE ID; null: the identity says nothing */
export function checkRelay(
  found: RelayFound,
  { listen, egress }: Pick<MeshSettings, 'listen'> & Partial<MeshSettings>,
  agent: string | null,
): CheckResult {
  const about = `the relay at ${listen} serves ${agent ?? 'this agent'}`
  if (found.kind !== 'relay') return result('relay', about, NOT_THERE[found.kind](listen))
  const { status } = found
  const restart = `stop that relay (process ${status.pid}), and start one with the right options`
  const elsewhere =
    egress !== undefined && URL.canParse(egress) && new URL(egress).origin !== status.egress
  return result(
    'relay',
    `${about}, process ${status.pid}`,
    agent !== null && status.agent !== agent
      ? { code: 'relay-of-another-agent', what: `it acts for ${status.agent}`, todo: restart }
      : null,
    elsewhere
      ? { code: 'relay-to-another-gateway', what: `it leads to ${status.egress}`, todo: restart }
      : null,
    status.fault === null
      ? null
      : {
          code: 'relay-cannot-serve',
          what: `${status.fault.code}: ${status.fault.message}`,
          todo: status.fault.hint,
        },
    status.denied === 0
      ? null
      : {
          code: 'relay-was-shown-wrong-secrets',
          what: `${status.denied} requests showed it no secret, or a wrong one`,
          todo: 'restart what uses the relay: it reads its proxy URL once, when it starts',
          note: true,
        },
  )
}
