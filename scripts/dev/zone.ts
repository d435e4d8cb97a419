/**
 * What the DNS server of a development mesh or a test answers. Holds A, AAAA and SRV records of the names it is told,
 * forwards nothing, and lets the system's resolver answer for the few names that it is told to.
 */
import type { Answer, Packet } from 'dns-packet'

export interface ZoneRecords {
  /** Host name to its addresses, IPv4 or IPv6. */
  readonly addresses: Readonly<Record<string, readonly string[]>>
  /** Service name, e.g. `_grpc._tcp.researcher.acme.mesh.internal`, to where it runs. */
  readonly services?: Readonly<Record<string, readonly ServiceRecord[]>>
  /** Names for which the system's resolver is asked. */
  readonly systemNames?: readonly string[]
  /** In seconds. Default 1, so that a change is seen at once. */
  readonly ttlSeconds?: number
}

export interface ServiceRecord {
  readonly target: string
  readonly port: number
  /** Default 0. */
  readonly priority?: number
  /** Default 1. */
  readonly weight?: number
}

export type AskSystem = (name: string) => Promise<readonly string[]>

const RCODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
}
const AUTHORITATIVE = 1 << 10
const RECURSION_DESIRED = 1 << 8

/** The answer to one query. Never throws for what the asker sent. */
export async function answer(
  query: Packet,
  records: ZoneRecords,
  askSystem: AskSystem,
): Promise<Packet> {
  const [question, ...more] = query.questions ?? []
  const respond = (rcode: number, answers: Answer[] = []): Packet => ({
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: AUTHORITATIVE | ((query.flags ?? 0) & RECURSION_DESIRED) | rcode,
    questions: query.questions ?? [],
    answers,
  })
  if (question === undefined || more.length > 0) return respond(RCODE.formatError)
  const name = question.name.toLowerCase()
  const ttl = records.ttlSeconds ?? 1

  if (records.systemNames?.includes(name)) {
    const found = await askSystem(name).catch(() => null)
    if (found === null) return respond(RCODE.noSuchName)
    return respond(RCODE.noError, addressAnswers(question, found, ttl))
  }
  const addresses = own(records.addresses, name)
  const services = own(records.services ?? {}, name)
  if (addresses === undefined && services === undefined) return respond(RCODE.noSuchName)
  if (question.type === 'SRV')
    return respond(
      RCODE.noError,
      (services ?? []).map(({ target, port, priority = 0, weight = 1 }) => ({
        type: 'SRV' as const,
        name: question.name,
        ttl,
        data: { target, port, priority, weight },
      })),
    )
  return respond(RCODE.noError, addressAnswers(question, addresses ?? [], ttl))
}

function addressAnswers(
  question: { readonly type: string; readonly name: string },
  addresses: readonly string[],
  ttl: number,
): Answer[] {
  const { type, name } = question
  if (type !== 'A' && type !== 'AAAA') return []
  return addresses
    .filter((address) => address.includes(':') === (type === 'AAAA'))
    .map((data) => ({ type, name, ttl, data }))
}

/** A name from the network is no key of Object.prototype. */
function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}
