/** A mesh and two real OpenClaw gateways in it, `oc-a` and `oc-b`, with one mock model, one page outside and one plain worker. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { commandsOfGuide } from './guide.ts'
import { type InstalledOpenClaw, installOpenClaw } from './install-openclaw.ts'
import { startMcpDoor } from './mcp-door.ts'
import { type MockModel, startMockModel } from './mock-model.ts'
import { makeOpenClaw, type OpenClaw } from './openclaw-gateway.ts'

export interface World {
  readonly openclaw: InstalledOpenClaw
  readonly mesh: Mesh
  readonly model: MockModel
  /** It has the plugin as its users install it. */
  readonly a: OpenClaw
  /** It has the plugin as its developers load it. */
  readonly b: OpenClaw
  /** What may be fetched. */
  readonly page: { readonly url: string }
  /** Of A. */
  readonly relay: { readonly port: number; secret(): Promise<string> }
  /** How often the agent `worker` was called. */
  workerCalls(): number
  close(): Promise<void>
}

export const PAGE_TEXT = 'the page that only egress reaches'
/** Delegations in one tree. */
export const LOOP_BUDGET = 10

/** Neither OpenClaw is started yet. */
export async function makeWorld(): Promise<World> {
  const openclaw = await installOpenClaw()
  const dir = await mkdtemp(join(tmpdir(), 'clawmesh-openclaw-'))
  const undo: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })]
  const close = async () => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    const pluginDir = join(dir, 'plugin')
    await buildPlugin(pluginDir)
    const model = await startMockModel()
    undo.push(() => model.close())
    const page = await startPage()
    undo.push(page.close)
    const mesh = await startMesh({
      policy: policyFor(page.port),
      // the shortest that there is: tokens change while the tests run
      config: { revocation: { list: 'revoked.json' }, tokens: { ttlMs: '1m' } },
      // OpenClaw calls /mcp there, and takes no other name for it
      gatewayAddresses: ['127.0.0.1'],
    })
    undo.push(() => mesh.close())
    mesh.addHost('page.example', ['127.0.0.1'])
    let calls = 0
    const work = () => {
      calls += 1
      return 'worked'
    }
    await mesh.serve('acme', 'worker', { skills: { work } })
    const make = await makerOf({ openclaw, dir, modelUrl: model.baseUrl, mesh })
    const door = await startMcpDoor(mesh)
    undo.push(() => door.close())
    const relayPort = await freePort()
    const relay = { listen: `127.0.0.1:${relayPort}` }
    const a = await make(
      'oc-a',
      { ...SETTINGS_OF_A, relay },
      { mcp: { servers: { door: door.server, gateway: await mcpAtGateway(mesh) } } },
      // the one way to give OpenClaw the roots of a server
      { NODE_EXTRA_CA_CERTS: await rootsBesideOwn(mesh, dir) },
    )
    const b = await make('oc-b', SETTINGS_OF_B, { plugins: { load: { paths: [pluginDir] } } })
    undo.push(() => Promise.all([a.end(), b.end()]))
    await pack(pluginDir, a.workspaceDir)
    const [install = [], inspect = []] = await commandsOfGuide('## 2.')
    // on a terminal OpenClaw asks whether to install from this source; here is none
    await a.command(...install, '--force')
    const inspected = await a.command(...inspect)
    if (!inspected.includes('"status": "loaded"')) throw new Error(inspected)
    return {
      ...{ openclaw, mesh, model, a, b, close, page: { url: `http://page.example:${page.port}/` } },
      workerCalls: () => calls,
      relay: {
        port: relayPort,
        secret: async () =>
          (await readFile(join(a.stateDir, 'clawmesh/relay.secret'), 'utf8')).trim(),
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

const SETTINGS_OF_A = { peers: ['oc-b', 'oc-missing'], hosts: ['page.example'] }
const SETTINGS_OF_B = {
  ...{ peers: ['worker'], hosts: ['page.example'] },
  serve: {
    ask: {
      ...{ agent: 'main', callers: ['oc-a', 'door'], concurrent: 4, timeout: '5m' },
      ...{ description: 'answers questions', tools: ['mesh_fetch', 'mesh_delegate', 'exec'] },
    },
  },
}

function policyFor(pagePort: number) {
  return {
    _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [pagePort] } },
    acme: {
      egress: { allow: [`page.example:${pagePort}`] },
      delegation: {
        allow: [
          { from: 'oc-a', to: 'oc-b' },
          { from: 'oc-b', to: 'worker' },
          { from: 'door', to: 'oc-b' },
          // as the guide names them
          { from: 'planner', to: 'researcher' },
        ],
        maxDelegationsPerRoot: LOOP_BUDGET,
      },
    },
  }
}

async function startPage() {
  const origin = createServer((_request, response) => response.end(PAGE_TEXT))
  const port = await listenOnFreePort(origin)
  return { port, close: () => closeServer(origin) }
}

async function makerOf(parts: {
  readonly openclaw: InstalledOpenClaw
  readonly dir: string
  readonly modelUrl: string
  readonly mesh: Mesh
}) {
  const { openclaw, dir, modelUrl, mesh } = parts
  return async (
    name: string,
    settings: object,
    config: Readonly<Record<string, unknown>>,
    env: Readonly<Record<string, string>> = {},
  ) => {
    const home = join(dir, name)
    await mkdir(home, { recursive: true })
    const port = await freePort()
    mesh.announce('acme', name, port)
    const own = {
      gateway: mesh.gateway.delegation,
      egress: `http://${mesh.gateway.egress}`,
      identity: await mesh.identity('acme', name),
      listen: `127.0.0.1:${port}`,
    }
    const plugin = { enabled: true, config: { ...own, ...settings } }
    return makeOpenClaw({ openclaw, name, dir: home, modelUrl, plugin, config, env })
  }
}

/** As the guide on MCP has it, for the agent of A. */
async function mcpAtGateway(mesh: Mesh): Promise<Readonly<Record<string, string>>> {
  const identity = await mesh.identity('acme', 'oc-a')
  return {
    ...{ url: `https://${mesh.gateway.delegation}/mcp`, transport: 'streamable-http' },
    ...{ clientCert: join(identity, 'tls.crt'), clientKey: join(identity, 'tls.key') },
  }
}

/** The mesh's roots, and those that this machine adds, by which npm reaches its registry. @returns the file */
async function rootsBesideOwn(mesh: Mesh, dir: string): Promise<string> {
  const files = [join(await mesh.identity('acme', 'oc-a'), 'ca.crt')]
  const { NODE_EXTRA_CA_CERTS: own = '' } = process.env
  if (own !== '') files.push(own)
  const file = join(dir, 'roots.crt')
  const roots = await Promise.all(files.map((one) => readFile(one, 'utf8')))
  await writeFile(file, roots.join('\n'))
  return file
}

async function pack(pluginDir: string, to: string): Promise<void> {
  const args = ['pack', '--silent', '--pack-destination', to]
  await promisify(execFile)('npm', args, { cwd: pluginDir })
}
