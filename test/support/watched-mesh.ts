/**
 * A mesh at work, for tests of what operators see of it: a chain of three agents with one task that goes on until it is
 * told to end, a call and a request that policy refuses, and a request that it allows.
 */
import { createServer } from 'node:http'
import type { Agent } from '@clawmesh/agent-sdk'
import { closeServer, listenOnFreePort } from './http-origin.ts'
import { type Mesh, startMesh } from './mesh.ts'

/** JSON of an endpoint: each part is what a test takes it for. */
export type Body = Readonly<
  Record<
    | 'action'
    | 'certificates'
    | 'code'
    | 'counted_in'
    | 'decisions'
    | 'degraded'
    | 'edges'
    | 'error'
    | 'faults'
    | 'hint'
    | 'identity'
    | 'newly_allowed'
    | 'newly_refused'
    | 'nodes'
    | 'open'
    | 'origin'
    | 'peers'
    | 'ready'
    | 'reasons'
    | 'root_id'
    | 'rule'
    | 'trees'
    | 'uses'
    | 'workers',
    never
  >
>

export interface WatchedMesh {
  readonly mesh: Mesh
  readonly planner: Agent
  /** Where agents may go, `host:port`. */
  readonly page: string
  /** A whole task through three agents. Resolves with the id of its tree. */
  work(): Promise<string>
  /** A task whose last agent waits. Resolves when it waits. */
  begin(): Promise<{ readonly rootId: string; end(): Promise<unknown> }>
  /** A call and a request that are refused. */
  beRefused(): Promise<void>
  /** JSON of an endpoint of the admin port. */
  get(path: string): Promise<{ readonly status: number; readonly body: Body }>
  post(path: string, body: unknown): Promise<{ readonly status: number; readonly body: Body }>
  close(): Promise<void>
}

export interface WatchedMeshOptions {
  /** Merged into the configuration of the gateway. */
  readonly config?: Readonly<Record<string, unknown>>
}

export async function startWatchedMesh(options: WatchedMeshOptions = {}): Promise<WatchedMesh> {
  const origin = createServer((_request, response) => response.end('page'))
  const port = await listenOnFreePort(origin)
  const page = `page.example:${port}`
  const mesh = await startMesh({
    policy: {
      _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [443, port] } },
      acme: {
        egress: {
          allow: [page],
          deny: ['gist.example'],
          limits: { requestsPerMinute: 600, burst: 10 },
        },
        delegation: {
          allow: [
            { from: 'planner', to: 'researcher' },
            { from: 'researcher', to: 'writer' },
          ],
          maxHops: 4,
          limits: { callsPerMinute: 6_000, concurrentStreams: 50 },
        },
      },
    },
    config: options.config ?? {},
  })
  let waiting = Promise.withResolvers<void>()
  let release = Promise.withResolvers<void>()
  try {
    mesh.addHost('page.example', ['127.0.0.1'])
    await mesh.serve('acme', 'writer', {
      skills: {
        write: () => 'written',
        wait: async () => {
          waiting.resolve()
          await release.promise
          return 'at last'
        },
      },
    })
    await mesh.serve('acme', 'researcher', {
      skills: {
        read: async (task, ctx) => {
          await (await ctx.fetch(`http://${page}/shelf/secret-path`)).text()
          await ctx.delegate('writer', { skill: task.text() }).result()
          return 'read'
        },
      },
    })
    const planner = await mesh.agent('acme', 'planner')
    const begin = async () => {
      waiting = Promise.withResolvers<void>()
      release = Promise.withResolvers<void>()
      const task = planner.delegate('researcher', { skill: 'read', input: 'wait' })
      await waiting.promise
      const line = await mesh.auditLine(
        'the request of the task',
        ({ root_id: root }) => root !== null,
      )
      const open = await ask(mesh, 'open')
      const roots: readonly { readonly root_id: string | null }[] = open.body.open ?? []
      const rootId = roots.find(({ root_id: root }) => root !== null)?.root_id ?? line.root_id
      return {
        rootId: String(rootId),
        async end() {
          release.resolve()
          return await task.result()
        },
      }
    }
    return {
      ...{ mesh, planner, page, begin },
      async work() {
        const task = planner.delegate('researcher', { skill: 'read', input: 'write' })
        await task.result()
        const line = await mesh.auditLine('the end of the task', (record) => {
          return record.delegation_id === task.id && record.grpc_status === 0
        })
        return String(line.root_id)
      },
      async beRefused() {
        await planner
          .delegate('writer', { skill: 'write' })
          .result()
          .catch(() => {})
        await planner.fetch('https://gist.example/secret-path').catch(() => {})
        await mesh.auditLine(
          'the refused request',
          ({ destination_host: host }) => host === 'gist.example',
        )
      },
      get: (path) => ask(mesh, path),
      post: (path, body) =>
        ask(mesh, path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      async close() {
        release.resolve()
        await mesh.close()
        await closeServer(origin)
      },
    }
  } catch (error) {
    await mesh.close()
    await closeServer(origin)
    throw error
  }
}

async function ask(mesh: Mesh, path: string, init: RequestInit = {}) {
  const response = await fetch(`http://${mesh.gateway.admin}/api/${path}`, {
    headers: { connection: 'close' },
    ...init,
  })
  const body: Body = JSON.parse(await response.text())
  return { status: response.status, body }
}
