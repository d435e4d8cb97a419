/**
 * The admin port: /metrics, /health, /ready and a status page, for operators and their tools. Read-only, shows no
 * secret, and refuses names that are not its own, so that a web page cannot read it by DNS rebinding.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { Log } from '@clawmesh/agent-sdk/mesh'
import type { MaybePromise } from '../limits/limits.ts'
import type { ListenAddress, Port } from '../net/port.ts'
import type { AgentOf } from '../recorded/recorded-case.ts'
import {
  METRICS_CONTENT_TYPES,
  type MetricsFormat,
  metricsFormatFor,
} from '../telemetry/metrics-format.ts'
import type { Metrics } from '../telemetry/metrics-port.ts'
import { VERSION } from '../version.ts'
import type { FactsSource } from './api/facts.ts'
import { createOperatorApi } from './api/operator-api.ts'
import { createConsole } from './console/console-files.ts'
import { createHttpPort, pathOf, refuseOther, send, sendJson } from './http-port.ts'
import { type Missing, renderStatusPage, type StatusRow } from './status-page.ts'

/** The data of an admin port, of this process or of several. */
export interface AdminView {
  /** Names accepted in Host, besides localhost and IP addresses; lower case. */
  readonly names: () => readonly string[]
  readonly metrics: { text(format: MetricsFormat): Promise<string> }
  /** Reasons why it is not ready; empty when it is. */
  readonly missing: () => MaybePromise<readonly Missing[]>
  /** Faults that do not stop the gateway. Default: none. */
  readonly degraded?: () => MaybePromise<readonly Missing[]>
  /** The rows of the status page. */
  readonly status: () => MaybePromise<readonly StatusRow[]>
  /** What the endpoints below /api/ tell of. */
  readonly facts: FactsSource
  /** Names agents of SPIFFE IDs, as configured now. */
  readonly agentOf: () => AgentOf
}

export interface AdminPortOptions extends AdminView {
  readonly listen: ListenAddress
  /** Whether /api/ and the console are served. */
  readonly console: boolean
  readonly connectionRefused: Metrics['connectionRefused']
  readonly log: Pick<Log, 'warn'>
}

/** Serves some paths of the port. */
interface Part {
  /** Whether it reads the body of a request. */
  readonly takesBody: boolean
  serves(path: string): boolean
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>
}

const PATHS = ['/', '/metrics', '/health', '/ready']
const CONSOLE = '/console/'

/** @throws MeshError MESH_CONFIG_PORT */
export function createAdminPort(options: AdminPortOptions): Promise<Port> {
  const { listen, connectionRefused, log } = options
  const parts: readonly Part[] = options.console
    ? [createOperatorApi(options), createConsole()]
    : []
  const partOf = (request: IncomingMessage) =>
    parts.find((part) => part.serves(pathOf(request))) ?? null
  return createHttpPort({
    ...{ name: 'admin', listen, connectionRefused, log },
    takesBody: (request) => partOf(request)?.takesBody === true,
    answer: (request, response) => answer(request, response, options, partOf(request)),
  })
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminPortOptions,
  part: Pick<Part, 'answer'> | null,
): Promise<void> {
  if (!isOwnHost(request.headers.host, options.names()))
    return send(
      response,
      421,
      'text/plain',
      'ask by IP address, as localhost, or by a name in delegation.names\n',
    )
  if (part !== null) return part.answer(request, response)
  if (refuseOther(request, response, options.console ? [...PATHS, CONSOLE] : PATHS)) return
  const path = pathOf(request)
  if (path === '/metrics') {
    const format = metricsFormatFor(request.headers.accept)
    response.setHeader('vary', 'accept')
    return send(response, 200, METRICS_CONTENT_TYPES[format], await options.metrics.text(format))
  }
  if (path === '/health') return sendJson(response, 200, { status: 'up', version: VERSION })
  const missing = await options.missing()
  const degraded = (await options.degraded?.()) ?? []
  if (path === '/ready') {
    const told = degraded.length === 0 ? {} : { degraded }
    return missing.length === 0
      ? sendJson(response, 200, { status: 'ready', ...told })
      : sendJson(response, 503, { status: 'not ready', missing, ...told })
  }
  const { console } = options
  const page = renderStatusPage(await options.status(), { missing, degraded, console })
  send(response, 200, 'text/html; charset=utf-8', page)
}

/** Without Host (HTTP/1.0, as health checks send it) the client is no browser. */
function isOwnHost(header: string | undefined, names: readonly string[]): boolean {
  if (header === undefined) return true
  const host = header.toLowerCase().replace(/:\d{1,5}$/, '')
  if (host.startsWith('[') && host.endsWith(']')) return isIP(host.slice(1, -1)) === 6
  return host === 'localhost' || isIP(host) === 4 || names.includes(host)
}
