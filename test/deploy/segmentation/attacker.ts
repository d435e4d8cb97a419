/** Attempts of an agent, and what arrives of them elsewhere: the two Python programs beside this file, which have raw sockets. */
import { readFileSync } from 'node:fs'
import { waitFor } from '../../support/wait-for.ts'
import type { NetworkNamespace } from './network-namespace.ts'

export interface Attempt {
  readonly kind: 'tcp' | 'again' | 'udp' | 'fragments' | 'icmp' | 'raw' | 'raw6' | 'forget'
  readonly to?: string
  readonly port?: number
  /** The source address; for raw packets any. */
  readonly from?: string
  /** Of a raw packet: its protocol by number, and the words "flags and fragment offset". */
  readonly protocol?: number
  readonly offset?: number
  /** Of UDP. Default 1. */
  readonly times?: number
}

export interface Attacker {
  /** Resolves when it has begun, with "begun", or "refused" when the kernel said so at once. */
  begin(attempt: Attempt, marker: string): Promise<string>
}

export interface Arrival {
  /** The destination of a packet that came in by the interface. */
  readonly seen?: string
  /** The server that has read it: `tcp:80`. */
  readonly served?: string
  readonly from: string
  readonly marker: string | null
}

const PYTHON = '/usr/bin/python3'

export interface RunAs {
  /** Default: root. */
  readonly user?: number
  /** Whether it may send packets of any form all the same. */
  readonly rawSockets?: boolean
}

export async function startAttacker(space: NetworkNamespace, as: RunAs = {}): Promise<Attacker> {
  const answers: string[] = []
  const [command, ...args] = python('attacker.py', as)
  const program = space.start(command, args, (line) => answers.push(line))
  const answer = () => waitFor('the attacker', () => answers.shift(), { everyMs: 1 })
  await answer()
  return {
    async begin(attempt, marker) {
      program.send(JSON.stringify({ ...attempt, marker }))
      const said = await answer()
      if (said.startsWith('failed')) throw new Error(`${JSON.stringify(attempt)}: ${said}`)
      return said
    },
  }
}

/** @param words of observer.py: `sniff=eth0`, `tcp=80` */
export async function startObserver(
  space: NetworkNamespace,
  words: readonly string[],
  as: RunAs = {},
): Promise<readonly Arrival[]> {
  const arrivals: Arrival[] = []
  let ready = false
  const [command, ...args] = python('observer.py', as)
  space.start(command, [...args, ...words], (line) => {
    const { ready: isReady, ...arrival } = JSON.parse(line)
    if (isReady === true) ready = true
    else if (!isOfTheLink(arrival)) arrivals.push(arrival)
  })
  await waitFor('the observer', () => ready, { everyMs: 5 })
  return arrivals
}

/** By its text: another user cannot read the file everywhere. */
function python(
  name: string,
  { user, rawSockets = false }: RunAs,
): readonly [string, ...(readonly string[])] {
  const program = [PYTHON, '-c', readFileSync(new URL(name, import.meta.url), 'utf8')] as const
  if (user === undefined) return program
  const capabilities = rawSockets ? ['--inh-caps', '+net_raw', '--ambient-caps', '+net_raw'] : []
  const ids = ['--reuid', String(user), '--regid', String(user), '--clear-groups']
  return ['setpriv', ...ids, ...capabilities, '--', ...program]
}

/**
 * Reports that the two ends of a link send to each other when it comes up (MLDv2, RFC 3810), seconds later too. No router
 * forwards a link-local source (RFC 4291, section 2.5.6), and all that an agent sends has a marker.
 */
function isOfTheLink({ marker, from }: Arrival): boolean {
  return marker === null && from.startsWith('fe80:')
}
