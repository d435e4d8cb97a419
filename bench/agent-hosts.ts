/**
 * What agent hosts pay for the mesh: `node --expose-gc bench/agent-hosts.ts [calls] [sessions]`. The OpenClaw plugin as it is built, in a host
 * that stands in for OpenClaw: size, start, memory, a delegation from its tool to the handler of the peer, and from a turn to a turn
 * of another host. `mesh-agent mcp` over stdio and over HTTP: a call, and memory for each session. `/mcp` of the gateway: a call, and
 * memory of the gateway for each session of 10,000.
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { startProcess } from '../scripts/dev/child-process.ts'
import { freePorts } from '../scripts/dev/free-ports.ts'
import { bundledCommand } from '../test/mesh-agent/relay/relay-process.ts'
import { createStandInOpenClaw, textOf } from '../test/openclaw-plugin/stand-in/openclaw.ts'
import { startHostProcess } from '../test/openclaw-plugin/stand-in/start-host-process.ts'
import { mcpFetch } from '../test/support/mcp-client.ts'
import { startMesh } from '../test/support/mesh.ts'
import { waitFor } from '../test/support/wait-for.ts'
import { residentBytes as residentBytesOf } from './measure/cpu-time.ts'
import { quantile } from './measure/statistics.ts'

const CALLS = Number(process.argv[2] ?? 500)
const EDITS = 4
const STDIO_SESSIONS = 4
const HTTP_SESSIONS = 60
const GATEWAY_SESSIONS = Number(process.argv[3] ?? 10_000)

const say = (what: string, figures: string) =>
  process.stdout.write(`${what.padEnd(46)}${figures}\n`)
const ms = (value: number) => `${value.toFixed(1)} ms`
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`
const spread = (times: readonly number[]) =>
  `p50 ${ms(quantile(times, 0.5))}, p99 ${ms(quantile(times, 0.99))}`
const timesOf = async (count: number, work: () => Promise<unknown>) => {
  const times: number[] = []
  for (let done = 0; done < count; done += 1) {
    const from = performance.now()
    await work()
    times.push(performance.now() - from)
  }
  return times
}
const residentBytes = (pid: number) => residentBytesOf(pid) ?? 0
const ownBytes = () => {
  globalThis.gc?.()
  return process.memoryUsage().rss
}

const mesh = await startMesh({
  policy: {
    acme: {
      delegation: { allow: [{ from: '*', to: '*' }], limits: { callsPerMinute: 1e9 } },
    },
  },
  config: { delegation: { limits: { ownCallsPerMinute: 1e8 } } },
})
/** When the handler of the peer began last. */
let arrivedMs = 0
await mesh.serve('acme', 'researcher', {
  skills: {
    echo: (task) => {
      arrivedMs = performance.now()
      return task.text()
    },
  },
})
const pluginDir = join(mesh.dir, 'plugin')
await buildPlugin(pluginDir)
const settings = await settingsOf('planner')
const host = createStandInOpenClaw({
  ...{ pluginDir, dir: await placeOf('planner'), pluginConfig: settings },
})

async function settingsOf(agent: string, more: object = {}) {
  const identity = await mesh.identity('acme', agent)
  const peers = ['researcher', 'server']
  return { gateway: mesh.gateway.delegation, identity, peers, ...more }
}

async function placeOf(agent: string): Promise<string> {
  const dir = join(mesh.dir, `host-${agent}`)
  await mkdir(join(dir, 'workspace'), { recursive: true })
  return dir
}

const ECHO = { peer: 'researcher', skill: 'echo', input: 'x' }
const isUp = (args: object) =>
  waitFor(
    'the mesh',
    async () => /is completed/.test(textOf(await host.call('mesh_delegate', args))),
    { withinMs: 120_000 },
  )

async function sizes(): Promise<void> {
  let bytes = 0
  const pieces: Buffer[] = []
  const names = await readdir(pluginDir, { recursive: true })
  for (const name of names) {
    const file = join(pluginDir, name)
    if (!(await stat(file)).isFile()) continue
    pieces.push(await readFile(file))
    bytes += (await stat(file)).size
  }
  const packed = gzipSync(Buffer.concat(pieces)).length
  say('plugin: packed, installed (aim 1 and 3 MB)', `${mb(packed)}, ${mb(bytes)}`)
}

async function plugin(): Promise<void> {
  const before = ownBytes()
  const from = performance.now()
  await host.start()
  say('plugin: load and start (aim 200 ms)', ms(performance.now() - from))
  await isUp(ECHO)
  const started = ownBytes()
  say('plugin: memory added at start (aim 20 MB)', mb(started - before))
  const toHandler: number[] = []
  const back = await timesOf(CALLS, async () => {
    const began = performance.now()
    await host.call('mesh_delegate', ECHO)
    toHandler.push(arrivedMs - began)
  })
  const warm = Math.min(20, CALLS / 2)
  say('delegation: tool to handler (aim 5 and 20 ms)', spread(toHandler.slice(warm)))
  say('delegation: tool to result', spread(back.slice(warm)))
  const calm = ownBytes()
  for (let edit = 0; edit < EDITS; edit += 1)
    await host.reload({ ...settings, peers: ['researcher', 'server', `edit-${edit}`] })
  await isUp(ECHO)
  say(`plugin: memory for each of ${EDITS} edits (aim 5 MB)`, mb((ownBytes() - calm) / EDITS))
}

/** The other host is a process of its own: copies of the plugin in one process share one agent. */
async function turnToTurn(): Promise<void> {
  const [port = 0] = await freePorts(1)
  mesh.announce('acme', 'server', port)
  const serve = { ask: { callers: ['*'], concurrent: 4 } }
  const other = await startHostProcess({
    ...{ pluginDir, dir: await placeOf('server') },
    pluginConfig: await settingsOf('server', { listen: `127.0.0.1:${port}`, serve }),
  })
  try {
    const ask = { peer: 'server', skill: 'ask', input: 'x' }
    await isUp(ask)
    const times = await timesOf(CALLS, () => host.call('mesh_delegate', ask))
    say('delegation: turn to turn, without a model', spread(times.slice(Math.min(20, CALLS / 2))))
  } finally {
    await other.stop()
  }
}

const tool = (client: Client) => () => client.callTool({ name: 'mesh_delegate', arguments: ECHO })

async function overStdio(command: string, flags: readonly string[]): Promise<void> {
  const clients: Client[] = []
  let bytes = 0
  for (let session = 0; session < STDIO_SESSIONS; session += 1) {
    const transport = new StdioClientTransport({
      ...{ command: process.execPath, args: [command, 'mcp', ...flags] },
      ...{ cwd: mesh.dir, stderr: 'ignore' },
    })
    const client = new Client({ name: 'bench', version: '1' })
    await client.connect(transport)
    clients.push(client)
    await tool(client)()
    bytes += residentBytes(transport.pid ?? 0)
  }
  const [client] = clients
  if (client !== undefined)
    say('MCP over stdio: a call', spread((await timesOf(CALLS, tool(client))).slice(5)))
  say('MCP over stdio: memory for each session', mb(bytes / STDIO_SESSIONS))
  for (const one of clients) await one.close()
}

async function overHttp(command: string, flags: readonly string[]): Promise<void> {
  const [port = 0] = await freePorts(1)
  const secretFile = join(mesh.dir, 'mcp.secret')
  const door = startProcess({
    ...{ name: 'mesh-agent mcp', file: new URL(`file://${command}`), foreign: true },
    args: [
      ...['mcp', ...flags, '--listen', `127.0.0.1:${port}`, '--secret-file', secretFile],
      ...['--max-sessions', String(HTTP_SESSIONS + 1)],
    ],
  })
  await waitFor('the door', () => door.lastLines().some((line) => line.includes('listening')))
  const Authorization = `Bearer ${(await readFile(secretFile, 'utf8')).trim()}`
  const connect = async () => {
    const client = new Client({ name: 'bench', version: '1' })
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`), {
        requestInit: { headers: { Authorization } },
      }),
    )
    return client
  }
  const clients = [await connect()]
  const [first] = clients
  if (first === undefined) return
  say('MCP over HTTP: a call', spread((await timesOf(CALLS, tool(first))).slice(5)))
  const before = residentBytes(door.pid)
  for (let session = 0; session < HTTP_SESSIONS; session += 1) clients.push(await connect())
  say(
    `MCP over HTTP: memory for each of ${HTTP_SESSIONS} sessions`,
    mb((residentBytes(door.pid) - before) / HTTP_SESSIONS),
  )
  say('MCP over HTTP: the process', mb(residentBytes(door.pid)))
  for (const client of clients) await client.close()
  await door.stop(15_000)
}

async function atGateway(): Promise<void> {
  const client = await mcpFetch({
    ...{ delegation: mesh.gateway.delegation, name: 'gateway.mesh.internal' },
    identityDir: await mesh.identity('acme', 'planner'),
  })
  const post = async (method: string, params: object) => {
    const answer = await client.post({ jsonrpc: '2.0', id: 1, method, params })
    await answer.text()
    return answer.status
  }
  const call = () => post('tools/call', { name: 'mesh_delegate', arguments: ECHO })
  say("MCP at the gateway's /mcp: a call", spread((await timesOf(CALLS, call)).slice(5)))
  const before = residentBytes(mesh.gateway.pid)
  const initialize = {
    ...{ protocolVersion: '2025-11-25', capabilities: {} },
    clientInfo: { name: 'bench', version: '1' },
  }
  for (let session = 0; session < GATEWAY_SESSIONS; session += 1)
    if ((await post('initialize', initialize)) !== 200) throw new Error('a session was refused')
  const grown = residentBytes(mesh.gateway.pid) - before
  say(
    `/mcp: the gateway after ${GATEWAY_SESSIONS} sessions`,
    `${mb(grown)}, ${((grown / GATEWAY_SESSIONS) | 0).toString()} bytes each, of which it keeps none`,
  )
  await client.close()
}

try {
  await sizes()
  await plugin()
  await turnToTurn()
  const command = await bundledCommand(mesh.dir)
  const flags = [
    ...['--identity', await mesh.identity('acme', 'mcp'), '--gateway', mesh.gateway.delegation],
    ...['--state', join(mesh.dir, 'mcp-state')],
  ]
  await overStdio(command, flags)
  await overHttp(command, flags)
  await atGateway()
} finally {
  await host.stop()
  await mesh.close()
  await rm(pluginDir, { recursive: true, force: true })
}
