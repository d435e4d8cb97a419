/**
 * The JSON endpoints of the admin port, below /api/: the one source of the console, of `mesh-gateway top` and of
 * `mesh-gateway trees --admin`. docs/reference/admin-api.md has the shapes. Read-only.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ERRORS, isErrorCode, isUuidV7 } from '@clawmesh/proto'
import type { MaybePromise } from '../../limits/limits.ts'
import { inSlices } from '../../process/in-slices.ts'
import type { AgentOf } from '../../recorded/recorded-case.ts'
import { VERSION } from '../../version.ts'
import { pathOf, send, sendJson } from '../http-port.ts'
import type { Missing } from '../status-page.ts'
import { mergeEdges } from './edges.ts'
import type { Answer, FactsSource, Kind, Line, Question } from './facts.ts'
import {
  mergeDecisions,
  mergeLimits,
  mergeOpen,
  mergeOverviews,
  mergePeers,
  mergeReplays,
} from './merge.ts'
import { type OwnFields, ownFields } from './newest-lines.ts'
import {
  BadQuestion,
  filterOf,
  lastOf,
  readAsked,
  readCandidate,
  readJson,
  refuseOtherOrigins,
} from './read-question.ts'
import { listTrees, oneTree, rootOf } from './trees.ts'
import { createTurns, type Turns } from './turns.ts'

export interface OperatorApiOptions {
  readonly facts: FactsSource
  readonly missing: () => MaybePromise<readonly Missing[]>
  readonly degraded?: () => MaybePromise<readonly Missing[]>
  /** Names agents of SPIFFE IDs, as configured now. */
  readonly agentOf: () => AgentOf
}

export interface OperatorApi {
  readonly takesBody: boolean
  /** True for a path below /api/. */
  serves(path: string): boolean
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>
}

const GET_PATHS = [
  'overview',
  'decisions',
  'mesh',
  'trees',
  'open',
  'peers',
  'limits',
  'certificates',
]
const POST_PATHS = ['explain', 'replay']
const MAX_LIMITS = 200
/** Each answer may take some milliseconds of the process. */
const AT_ONCE = 2

export function createOperatorApi(options: OperatorApiOptions): OperatorApi {
  const turns = createTurns(AT_ONCE)
  return {
    takesBody: true,
    serves: (path) => path.startsWith('/api/'),
    async answer(request, response) {
      try {
        refuseOtherOrigins(request)
        await route(request, response, options, turns)
      } catch (error) {
        if (!(error instanceof BadQuestion)) throw error
        response.setHeader('connection', 'close')
        sendJson(response, error.status, { error: error.message })
      }
    },
  }
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  options: OperatorApiOptions,
  turns: Turns,
): Promise<void> {
  const [, name = '', id = null] = /^\/api\/([a-z]+)(?:\/([^/]*))?$/.exec(pathOf(request)) ?? []
  const posts = POST_PATHS.includes(name) && id === null
  const gets = GET_PATHS.includes(name) && (id === null || name === 'trees')
  if (!posts && !gets) {
    const paths = [...GET_PATHS, 'trees/ROOT', ...POST_PATHS].map((one) => `/api/${one}`)
    return send(response, 404, 'text/plain', `there is ${paths.join(', ')}\n`)
  }
  const methods = posts ? ['POST'] : ['GET', 'HEAD']
  if (!methods.includes(request.method ?? '')) {
    response.setHeader('allow', methods.join(', '))
    return sendJson(response, 405, { error: `ask by ${methods.join(' or ')}` })
  }
  const query = new URL(request.url ?? '/', 'http://gateway').searchParams
  const body = posts ? await readJson(request) : null
  let silent = 0
  const ask: Ask = async (what, asked) => {
    const heard = await options.facts.ask(what, asked)
    silent = Math.max(silent, heard.silent)
    return heard.answers
  }
  const make = () => answerOf(name, id, query, body, { ...options, ask })
  // a replay takes long, and has a line of its own
  const answer = await (name === 'replay' ? make() : turns(make, () => !request.socket.destroyed))
  if (answer === null) sendJson(response, 503, { error: 'no process of the gateway answers' })
  else sendJson(response, 200, { ...answer, silent_workers: silent })
}

/** The answers to one question, of the processes that answer. */
type Ask = <K extends Kind>(what: K, asked: Question[K]) => Promise<readonly Answer[K][]>
type Asking = OperatorApiOptions & { readonly ask: Ask }

/** Null while no process answers. @throws BadQuestion */
async function answerOf(
  name: string,
  id: string | null,
  query: URLSearchParams,
  body: unknown,
  options: Asking,
): Promise<object | null> {
  const { ask, agentOf } = options
  if (name === 'overview') return overviewOf(options)
  if (name === 'decisions') {
    const filter = filterOf(query)
    const found = mergeDecisions(await ask('decisions', filter), filter.last)
    const decisions = found.lines.map(recordOf)
    return { decisions, more: found.more, reasons: reasonsOf(decisions) }
  }
  if (name === 'mesh') return mergeEdges(await ask('edges', null))
  if (name === 'trees' && id === null) {
    const lines = (await ask('tasks', { root: null })).flat()
    return inSlices(listTrees(lines, lastOf(query, 20), agentOf()))
  }
  if (name === 'trees') return treeOf(id ?? '', options)
  if (name === 'open') {
    const { calls, tunnels, lines } = mergeOpen(await ask('open', null))
    const leftOut = Math.max(0, calls + tunnels - lines.length)
    return { calls, tunnels, open: lines.map(recordOf), left_out: leftOut }
  }
  if (name === 'peers') return { peers: mergePeers(await ask('peers', null)) }
  if (name === 'limits') return mergeLimits(await ask('limits', null), MAX_LIMITS)
  if (name === 'certificates') {
    const [certificates = null] = await ask('certificates', null)
    return certificates === null ? null : { certificates }
  }
  if (name === 'explain') return (await ask('explain', readAsked(body)))[0] ?? null
  const replayed = mergeReplays(await ask('replay', readCandidate(body)))
  if (replayed === 'busy') throw new BadQuestion(503, 'another replay is running; try again')
  return replayed
}

async function overviewOf(options: Asking): Promise<object | null> {
  const { ask, facts, missing: whatIsMissing, degraded: whatIsDegraded } = options
  const [missing, degraded = [], answers] = await Promise.all([
    whatIsMissing(),
    whatIsDegraded?.(),
    ask('overview', null),
  ])
  const overview = mergeOverviews(answers)
  if (overview === null) return null
  const started = new Date(performance.timeOrigin).toISOString()
  const versions = { version: VERSION, node: process.versions.node, started }
  const state = { ready: missing.length === 0, missing, degraded, workers: facts.workers() }
  return { ...versions, ...state, ...overview }
}

/** @param id of the tree, or of any delegation in it */
async function treeOf(id: string, { ask, agentOf }: Asking): Promise<object> {
  if (!isUuidV7(id)) throw new BadQuestion(400, 'write root_id of an audit record')
  const linesOf = async (root: string) => (await ask('tasks', { root })).flat()
  const lines = await linesOf(id)
  const root = rootOf(lines, id)
  const all = root === null || root === id ? lines : await linesOf(root)
  const tree = await inSlices(oneTree(all, root ?? id, agentOf()))
  if (tree === null) throw new BadQuestion(404, 'no recent call tells of this tree')
  return tree
}

/** Without the path, which may hold anything. */
function recordOf(line: Line): OwnFields {
  const { path, ...record } = ownFields(line)
  return record
}

/** What the codes of records mean, each once. */
function reasonsOf(records: readonly OwnFields[]) {
  const codes = new Set(records.map(({ reason }) => reason))
  return Object.fromEntries(
    [...codes].flatMap((code) =>
      typeof code === 'string' && isErrorCode(code)
        ? [[code, { meaning: ERRORS[code].meaning, hint: ERRORS[code].hint }]]
        : [],
    ),
  )
}
