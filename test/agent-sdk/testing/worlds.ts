/**
 * Two meshes for the same promises: a real one, with a gateway as a process, and the one in memory. The policy of both:
 * the planner may ask anybody but the stranger, the researcher and the writer each other and the planner; `page` may be
 * fetched by all of them, `research` not by the planner, `forbidden` by nobody.
 */
import { createServer } from 'node:http'
import type { Agent, ServeOptions, Serving } from '@clawmesh/agent-sdk'
import { createTestMesh, type PolicyRule } from '@clawmesh/agent-sdk/testing'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { startMesh } from '../../support/mesh.ts'

export interface World {
  agent(name: string): Promise<Agent>
  serve(agent: Agent, options: ServeOptions): Promise<Serving>
  /** Answers `METHOD /path body`. */
  site(name: 'page' | 'research' | 'forbidden', path?: string): string
  close(): Promise<void>
}

const NAMES = ['planner', 'researcher', 'writer', 'counter']

export async function realWorld(): Promise<World> {
  const origin = createServer(async (request, response) => {
    const body = (await Array.fromAsync(request)).join('')
    response.setHeader('x-from', 'outside')
    response.end(`${request.method} ${request.url} ${body}`)
  })
  const port = await listenOnFreePort(origin)
  const mesh = await startMesh({
    policy: {
      _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
      acme: {
        egress: {
          allow: [`page.example:${port}`],
          agents: {
            researcher: { allow: [`research.example:${port}`] },
            writer: { allow: [`research.example:${port}`] },
          },
        },
        delegation: { allow: NAMES.flatMap((from) => NAMES.map((to) => ({ from, to }))) },
      },
    },
  })
  for (const name of ['page', 'research', 'forbidden'])
    mesh.addHost(`${name}.example`, ['127.0.0.1'])
  const names = new Map<Agent, string>()
  const patience = { startGiveUpMs: 1_000 }
  return {
    async agent(name) {
      const agent = await mesh.agent('acme', name, { patience })
      names.set(agent, name)
      return agent
    },
    async serve(agent, options) {
      const serving = await agent.serve({ listen: '127.0.0.1:0', ...options })
      mesh.announce('acme', names.get(agent) ?? '', serving.address.port)
      return serving
    },
    site: (name, path = '/') => `http://${name}.example:${port}${path}`,
    async close() {
      await mesh.close()
      await closeServer(origin)
    },
  }
}

export async function worldInMemory(): Promise<World> {
  const mesh = createTestMesh({
    fetch: async (request) => {
      const { pathname } = new URL(request.url)
      const body = await request.text()
      const headers = { 'x-from': 'outside' }
      return new Response(`${request.method} ${pathname} ${body}`, { headers })
    },
  })
  mesh.refuse(policy)
  return {
    agent: async (name) => mesh.agent(name),
    serve: (agent, options) => agent.serve(options),
    site: (name, path = '/') => `http://${name}.example:8080${path}`,
    close: () => mesh.close(),
  }
}

const policy: PolicyRule = ({ plane, agent, to }) => {
  const name = agent.split('/').at(-1) ?? ''
  const [target = ''] = to.split('.')
  const allowed =
    plane === 'delegation'
      ? NAMES.includes(name) && NAMES.includes(target)
      : target === 'page' || (target === 'research' && name !== 'planner')
  return allowed ? null : 'MESH_POLICY_NOT_ALLOWED'
}
