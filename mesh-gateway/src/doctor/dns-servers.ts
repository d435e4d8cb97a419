/** Checks whether each configured DNS server answers. Does not ask those of the system. */
import { Resolver } from 'node:dns/promises'
import { codeOf } from '../process/error-code.ts'
import { withPorts } from '../resolve/server-addresses.ts'
import { type CheckResult, type Finding, result } from './finding.ts'

export interface DnsServerFacts {
  /** `ip:port` or `[ip]:port`. */
  readonly server: string
  /** Code of c-ares, e.g. `ETIMEOUT`; null when the server answered, even that the name does not exist. */
  readonly error: string | null
}

/** Answers of a working server: the name in the question need not have an address. */
const ANSWERS: readonly string[] = Object.freeze(['ENOTFOUND', 'ENODATA'])

const IN_WORDS: Readonly<Record<string, string>> = {
  ETIMEOUT: 'does not answer',
  ECONNREFUSED: 'does not answer: nothing listens there',
  ESERVFAIL: 'answers that it fails (SERVFAIL)',
  EREFUSED: 'refuses to answer (REFUSED)',
}

export function checkDnsServers(facts: readonly DnsServerFacts[]): CheckResult {
  const dead = facts.filter(({ error }) => error !== null)
  const others =
    dead.length === facts.length
      ? 'no peer and no destination can be resolved'
      : 'the other servers are asked after it, so new names take longer or fail'
  const findings = dead.map(
    ({ server, error }): Finding => ({
      what: `the DNS server ${server} ${IN_WORDS[error ?? ''] ?? `cannot be asked (${error})`}`,
      why: others,
      todo: `start it, or take it out of dns.servers; dig ${digArguments(server)} asks it`,
    }),
  )
  return result('DNS', facts.map(({ server }) => server).join(', '), ...findings)
}

/** @param name a name that each server should know or deny, e.g. the mesh domain */
export async function readDnsServers(
  servers: readonly string[],
  name: string,
  timeoutMs: number,
): Promise<DnsServerFacts[]> {
  return await Promise.all(
    withPorts(servers).map(async (server) => {
      const resolver = new Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 2)), tries: 2 })
      resolver.setServers([server])
      try {
        await resolver.resolve4(name)
        return { server, error: null }
      } catch (error) {
        const code = codeOf(error)
        return { server, error: ANSWERS.includes(code) ? null : code }
      }
    }),
  )
}

function digArguments(server: string): string {
  const at = server.lastIndexOf(':')
  return `@${server.slice(0, at).replace(/^\[|\]$/g, '')} -p ${server.slice(at + 1)}`
}
