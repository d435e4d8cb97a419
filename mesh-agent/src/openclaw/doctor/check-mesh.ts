/** The certificate of the agent, its gateway, and the way out through the relay. */
import type { IdentitySnapshot } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { type CheckResult, type Finding, result } from './finding.ts'
import type { WayOut } from './way-out.ts'

const RENEW =
  '`mesh-pki renew` or what issues certificates here; the relay and the plugin take a new one by themselves'
const SOON_SHARE = 0.2
/** As much as tokens allow between two clocks. */
const SKEW_MS = 30_000

export function checkCertificate(
  dir: string,
  loaded: Pick<IdentitySnapshot, 'identity' | 'notBefore' | 'notAfter'> | MeshError,
  nowMs: number,
): CheckResult {
  if (loaded instanceof MeshError)
    return result('certificate', dir, {
      code: loaded.code === 'MESH_IDENTITY_EXPIRED' ? 'certificate-expired' : 'identity-unusable',
      what: `${loaded.code}: ${loaded.message}`,
      todo: loaded.hint,
    })
  const { identity, notAfter, notBefore } = loaded
  const [fromMs, untilMs] = [notBefore.getTime(), notAfter.getTime()]
  const about = `${identity.id}, until ${notAfter.toISOString()}`
  const soon = untilMs - nowMs < (untilMs - fromMs) * SOON_SHARE
  return result(
    'certificate',
    about,
    identity.kind === 'agent'
      ? null
      : {
          code: 'identity-unusable',
          what: 'it is not an agent’s',
          todo: 'name the directory of an agent with --identity',
        },
    soon
      ? {
          code: 'certificate-ends-soon',
          what: `it ends at ${notAfter.toISOString()}`,
          todo: `renew it: ${RENEW}`,
        }
      : null,
  )
}

/** @param answer who the gateway takes the agent for, or why it does not answer */
export function checkGateway(gateway: string, answer: string | MeshError): CheckResult {
  if (!(answer instanceof MeshError)) return result('gateway', `${gateway} knows ${answer}`)
  return result('gateway', gateway, {
    code: GATEWAY_CODES[answer.code] ?? 'gateway-refuses',
    what: `${answer.code}: ${answer.message}`,
    todo: answer.code === 'MESH_GATEWAY_UNREACHABLE' ? AWAY : answer.hint,
  })
}

const AWAY =
  'check that the gateway runs, and that --gateway or the gateway of the plugin’s entry is right'
const GATEWAY_CODES: Readonly<Partial<Record<MeshError['code'], string>>> = {
  MESH_GATEWAY_UNREACHABLE: 'gateway-away',
  MESH_GATEWAY_UNTRUSTED: 'gateway-untrusted',
  MESH_GATEWAY_NOT_FOR_TENANT: 'wrong-tenant',
  MESH_IDENTITY_EXPIRED: 'certificate-expired',
  MESH_IDENTITY_NOT_YET_VALID: 'clock-off',
  MESH_IDENTITY_REVOKED: 'certificate-revoked',
}

/** Of a request to a name that nobody has: the gateway must be the one that refuses it. */
export function checkWayOut(way: WayOut, nowMs: number): CheckResult {
  const about = 'a request through the relay is judged by the gateway'
  if (way.kind === 'no-answer')
    return result('way out', about, {
      code: 'way-out-silent',
      what: 'the relay does not answer a request',
      todo: 'look at what the relay logs, and restart it',
    })
  return result('way out', about, refusedOf(way), clockOf(way.dateMs, nowMs))
}

type Answered = Extract<WayOut, { kind: 'answered' }>

function refusedOf({ code, gate, hint }: Answered): Finding | null {
  if (gate !== 'relay' && gate !== 'credential') return null
  return {
    code: 'way-out-closed',
    what: `${code}, by ${gate === 'relay' ? 'the relay' : 'the gateway'}`,
    todo: hint,
  }
}

function clockOf(dateMs: number | null, nowMs: number): Finding | null {
  const skewMs = dateMs === null ? 0 : nowMs - dateMs
  if (Math.abs(skewMs) <= SKEW_MS) return null
  const seconds = Math.round(Math.abs(skewMs) / 1000)
  return {
    code: 'clock-off',
    what: `this machine’s clock is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the gateway’s`,
    todo: 'set both clocks by NTP: tokens and certificates allow 30 s',
  }
}
