/** All that is declared, by the plugin's configuration and by the skills of this OpenClaw, and who declares it. */
import { canonicalPeer, fitsHost, hostOfUrl, type OwnNames } from './names.ts'
import type { Needs } from './read-skill-file.ts'

/** The needs of one source: the configuration, or a SKILL.md. */
export interface Declaration extends Needs {
  /** Said in messages: `the configuration`, or the name of a skill. */
  readonly by: string
}

export const BY_CONFIGURATION = 'the configuration'

export interface Declared {
  readonly peers: ReadonlyMap<string, readonly string[]>
  readonly hosts: ReadonlyMap<string, readonly string[]>
}

/** Each name, as it is compared, to those who declare it. */
export function gatherDeclared(declarations: readonly Declaration[], own: OwnNames): Declared {
  const peers = new Map<string, string[]>()
  const hosts = new Map<string, string[]>()
  const add = (to: Map<string, string[]>, name: string, by: string) => {
    const those = to.get(name)
    if (those === undefined) to.set(name, [by])
    else if (!those.includes(by)) those.push(by)
  }
  for (const { by, ...needs } of declarations) {
    for (const peer of needs.peers) add(peers, canonicalPeer(peer, own), by)
    for (const host of needs.hosts) add(hosts, host.trim().toLowerCase(), by)
  }
  return { peers, hosts }
}

/** Null when it is declared; else one sentence for the model. */
export function judgePeer(declared: Declared, peer: string, own: OwnNames): string | null {
  const name = canonicalPeer(peer, own)
  const [tenant] = name.split('/')
  if (['*', `${tenant}/*`, name].some((each) => declared.peers.has(each))) return null
  const known = [...declared.peers.keys()].filter((each) => each !== '*')
  const instead =
    known.length === 0
      ? 'No peer is declared'
      : `Declared are ${known.slice(0, 20).map(shortName(own)).join(', ')}`
  return `CLAWMESH_PEER_NOT_DECLARED: the peer ${JSON.stringify(peer.slice(0, 100))} is not declared for this agent. ${instead}. Ask one of those, or tell your user that an operator has to declare it.`
}

/** Null when it is declared; else one sentence for the model. */
export function judgeUrl(declared: Declared, url: string): string | null {
  const at = hostOfUrl(url)
  // not for us: the tool itself says what is wrong with it
  if (at === null) return null
  if ([...declared.hosts.keys()].some((each) => fitsHost(each, at.host, at.port))) return null
  return `CLAWMESH_HOST_NOT_DECLARED: the host ${JSON.stringify(at.host.slice(0, 100))} is not declared for this agent. Use another source, or tell your user that an operator has to declare it.`
}

function shortName({ tenant }: OwnNames) {
  return (name: string) => (name.startsWith(`${tenant}/`) ? name.slice(tenant.length + 1) : name)
}
