/** Checks a peer as the gateway sees it: its name, its addresses, its certificate, its clock. */
import { handshakeFailure } from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'

export interface PeerAnswer {
  /** `ip:port` */
  readonly endpoint: string
  /** Why the dial with a verified certificate failed; null when it succeeded. */
  readonly error: MeshError | null
}

export interface PeerFacts {
  /** The full name. */
  readonly name: string
  /** `ip:port` of DNS servers; null: the system's. */
  readonly servers: readonly string[] | null
  /** Whether its addresses are from delegation.peers, and not from DNS. */
  readonly configured: boolean
  readonly answers: readonly PeerAnswer[] | MeshError
}

export function checkPeer(facts: PeerFacts): CheckResult {
  const { name, answers } = facts
  if (answers instanceof MeshError) return result('peer', name, unresolved(facts, answers))
  const good = answers.filter(({ error }) => error === null).map(({ endpoint }) => endpoint)
  const places = answers.map(({ endpoint }) => endpoint).join(', ')
  const about = `${name} at ${places}${facts.configured ? ' (delegation.peers)' : ''}`
  const shown = good.length === answers.length ? `${about}, certificate good` : about
  return result('peer', shown, ...answers.map((answer) => failed(facts, answer)))
}

function unresolved({ name, servers, configured }: PeerFacts, error: MeshError): Finding {
  const via = servers === null ? 'the resolver of this machine' : servers.join(', ')
  const at = servers?.[0] === undefined ? '' : digAt(servers[0])
  const what = `${error.message}, says ${via}`
  const why = `calls to the peer end with ${error.code}`
  if (configured) return { what, why, todo: `correct ${name} in delegation.peers` }
  return {
    what,
    why,
    todo: `dig${at} +short SRV ${shellWord(`_grpc._tcp.${name}`)}; dig${at} +short ${shellWord(name)}; then add the record, or correct dns.servers`,
  }
}

function failed(facts: PeerFacts, { endpoint, error }: PeerAnswer): Finding | null {
  if (error === null) return null
  return {
    what: `${endpoint}: ${error.message}`,
    why: `calls to ${facts.name} end with ${error.code}`,
    todo: remedy(facts, endpoint, error),
  }
}

function remedy({ name, configured }: PeerFacts, endpoint: string, error: MeshError): string {
  const look = `openssl s_client -connect ${endpoint} -servername ${shellWord(name)} -showcerts`
  switch (handshakeFailure(error.cause)?.code) {
    case 'MESH_IDENTITY_EXPIRED':
      return 'on the peer: mesh-pki issue agent --tenant TENANT --agent NAME --out DIR; and timedatectl status here'
    case 'MESH_IDENTITY_NOT_YET_VALID':
      return 'timedatectl status on both machines: one of the clocks is wrong'
    case 'MESH_IDENTITY_UNTRUSTED':
      return `mesh-gateway doctor --agent DIR with the directory of the peer compares the bundles; ${look}`
    default:
      break
  }
  if (error.code === 'MESH_PEER_UNREACHABLE')
    return `start the peer, or correct ${configured ? 'delegation.peers' : 'its DNS record'}; from here: nc -vz ${endpoint.replace(/:(\d+)$/, ' $1')}`
  return `${error.hint}; ${look}`
}

function digAt(server: string): string {
  const [, host = server, port] = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(server) ?? []
  return ` @${host}${port === undefined || port === '53' ? '' : ` -p ${port}`}`
}
