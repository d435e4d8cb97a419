/** Reads what is asked of the admin port: the query of a GET, and the JSON of a POST from its own pages. Bounded. */
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { readBounded } from '../../net/read-bounded.ts'
import { DEFAULT_METHOD, parseMethodName } from '../../policy/decide/explain.ts'
import { type Asked, readDestination, readPeer } from '../../policy/decide/explain-asked.ts'
import type { CandidateFile, DecisionFilter } from './facts.ts'

/** Answered as JSON with this status. */
export class BadQuestion extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const MAX_LAST = 500
const MAX_TEXT = 512
const MAX_BODY_BYTES = 262_144
const MAX_FILES = 20

/** @param otherwise without `last` */
export function lastOf(query: URLSearchParams, otherwise: number): number {
  const text = query.get('last')
  if (text === null) return otherwise
  if (!/^[1-9]\d{0,2}$/.test(text) || Number(text) > MAX_LAST)
    throw new BadQuestion(400, `last: write a number from 1 to ${MAX_LAST}`)
  return Number(text)
}

export function filterOf(query: URLSearchParams): DecisionFilter {
  const text = (name: string) => (query.get(name) || null)?.slice(0, MAX_TEXT) ?? null
  const oneOf = <T extends string>(name: string, values: readonly T[]): T | null => {
    const value = text(name)
    const known = values.find((one) => one === value) ?? null
    if (value !== null && known === null)
      throw new BadQuestion(400, `${name}: write ${values.join(' or ')}`)
    return known
  }
  const allowed = oneOf('allowed', ['true', 'false'])
  return {
    plane: oneOf('plane', ['egress', 'delegation']),
    allowed: allowed === null ? null : allowed === 'true',
    ...{ agent: text('agent'), host: text('host'), reason: text('reason') },
    last: lastOf(query, 100),
  }
}

/**
 * A page of another origin can neither read an answer nor have something computed: browsers say where a request comes
 * from, and a body that is said to be JSON is never sent from elsewhere without asking first. Of a GET in the clear they
 * say so at a loopback address alone (Fetch Metadata, section 3): elsewhere a page can have it computed, and reads nothing.
 */
export function refuseOtherOrigins({ headers, method }: IncomingMessage): void {
  const site = headers['sec-fetch-site']
  const { origin, host = '' } = headers
  const own = origin === undefined || origin === `http://${host}` || origin === `https://${host}`
  if (!own || (site !== undefined && site !== 'same-origin' && site !== 'none'))
    throw new BadQuestion(403, 'a page of another origin asks')
  if (method !== 'POST') return
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new BadQuestion(415, 'send application/json')
}

/** @throws BadQuestion for what is no JSON, or larger than 256 KiB */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  // the connection stays for the answer, however large the body is
  const body = request.iterator({ destroyOnReturn: false })
  const bytes = await readBounded(body, MAX_BODY_BYTES)
  if (bytes === null) {
    request.resume()
    throw new BadQuestion(413, `more than ${MAX_BODY_BYTES} bytes`)
  }
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new BadQuestion(400, 'the body is no JSON')
  }
}

const text = z.string().max(MAX_TEXT)
const peer = text.transform((value, context) => {
  const found = readPeer(value)
  if (found === null) context.addIssue('write tenant/agent, e.g. acme/planner')
  return found ?? z.NEVER
})
const destination = text.transform((value, context) => {
  const found = readDestination(value)
  if (found === null) context.addIssue('write a host and port, e.g. api.example.com:443')
  return found ?? z.NEVER
})
const method = text.transform((value, context) => {
  const found = parseMethodName(value)
  if (found === null) context.addIssue('write package.Service/Method')
  return found ?? z.NEVER
})
const question = z.discriminatedUnion('plane', [
  z.strictObject({
    plane: z.literal('egress'),
    agent: peer,
    to: destination,
    method: text.min(1).optional(),
    path: z.string().startsWith('/', 'begins with /').max(8_192).optional(),
    token: z.array(text).max(100).optional(),
    within_chain: z.boolean().default(false),
  }),
  z.strictObject({
    plane: z.literal('delegation'),
    from: peer,
    to: peer,
    method: method.default(DEFAULT_METHOD),
    within_chain: z.boolean().default(false),
  }),
])

/** @throws BadQuestion with every fault */
export function readAsked(body: unknown): Asked {
  const asked = parsed(question, body)
  const withinChain = asked.within_chain
  if (asked.plane === 'delegation') {
    const { plane, from, to } = asked
    return { plane, from, to, method: asked.method, withinChain }
  }
  const { plane, agent, to, method: verb, path, token = null } = asked
  const tunnel = verb === undefined && path === undefined
  const request = tunnel ? null : { method: verb ?? 'GET', path: path ?? '/' }
  return { plane, agent, to, request, allowedDestinations: token, withinChain }
}

const candidate = z.strictObject({
  /** By file name: the text of the file, or the document itself. */
  files: z.record(z.string().max(100), z.union([z.string(), z.looseObject({})])),
})

/** @throws BadQuestion */
export function readCandidate(body: unknown): readonly CandidateFile[] {
  const files = Object.entries(parsed(candidate, body).files)
  if (files.length === 0 || files.length > MAX_FILES)
    throw new BadQuestion(400, `files: name 1 to ${MAX_FILES} of them, e.g. acme.json`)
  return files.map(([name, document]) => ({
    name,
    text: typeof document === 'string' ? document : textOf(name, document),
  }))
}

/** Not indented: a deep document would become a thousand times as long. */
function textOf(name: string, document: object): string {
  try {
    return JSON.stringify(document)
  } catch {
    throw new BadQuestion(400, `files: ${name} is too deep`)
  }
}

function parsed<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const faults = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  throw new BadQuestion(400, faults.slice(0, 20).join('; '))
}
