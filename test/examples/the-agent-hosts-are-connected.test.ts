/** examples/agent-hosts: what an MCP client makes of each file reaches the mesh. The plugin's files: test/openclaw-plugin/config. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { summarize } from '../../examples/skill/researcher.ts'
import { MESH_AGENT } from '../mesh-agent/agent-process.ts'
import { ofTheRun } from '../pki/run.ts'
import { codeBlocks } from '../repository/documents/markdown-files.ts'
import { mcpClient } from '../support/mcp-client.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { ROOT } from './run-example.ts'

describe('the examples for agent hosts', function () {
  this.timeout(180_000)
  let mesh: Mesh
  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'researcher' }] } } },
    })
    await mesh.serve('acme', 'researcher', { skills: { summarize } })
  })
  after(() => mesh?.close())

  const example = async (name: string) =>
    JSON.parse(await readFile(new URL(`examples/agent-hosts/${name}`, ROOT), 'utf8'))
  const guide = async (path: string) => {
    const text = await readFile(new URL(path, ROOT), 'utf8')
    return codeBlocks({ path, text })
      .filter(({ language }) => language === 'json')
      .map((block) => JSON.parse(block.text))
  }
  const delegate = async (client: Client) => {
    const input = { text: 'One sentence. Two sentences.', sentences: 1 }
    const args = { peer: 'researcher', skill: 'summarize', input }
    const result = CallToolResultSchema.parse(
      await client.callTool({ name: 'mesh_delegate', arguments: args }, CallToolResultSchema),
    )
    const text = result.content.map((each) => (each.type === 'text' ? each.text : '')).join('')
    assert.notEqual(result.isError, true, text)
    assert.match(text, /"sentences":\s*1/)
  }

  it('mcp.json starts the tools of the mesh, and is that of the guide', async () => {
    const document = await example('mcp.json')
    assert.deepEqual((await guide('docs/guides/agent-hosts.md'))[0], document)
    const { command, args } = document.mcpServers.clawmesh
    assert.equal(command, 'mesh-agent')
    const own = new Map([
      ['/etc/mesh/planner', await mesh.identity('acme', 'planner')],
      ['gateway.mesh.internal:8443', mesh.gateway.delegation],
    ])
    const given = args.map((arg: string) => own.get(arg) ?? arg)
    assert.ok([...own.values()].every((value) => given.includes(value)))
    const client = new Client({ name: 'test', version: '1' })
    await client.connect(
      new StdioClientTransport({
        command: process.execPath,
        args: [MESH_AGENT, ...given, '--state', join(mesh.dir, 'state')],
        env: { PATH: process.env.PATH ?? '', ...ofTheRun(), NODE_NO_WARNINGS: '1' },
        stderr: 'ignore',
        cwd: mesh.dir,
      }),
    )
    try {
      await delegate(client)
    } finally {
      await client.close()
    }
  })

  it('openclaw-mcp.json leads to the gateway, and is that of the guide', async () => {
    const document = await example('openclaw-mcp.json')
    assert.deepEqual((await guide('docs/guides/mcp.md'))[0], document)
    const { url, transport, clientCert, clientKey } = document.mcp.servers.mesh
    assert.deepEqual(
      [transport, clientCert, clientKey],
      ['streamable-http', '/etc/mesh/tls.crt', '/etc/mesh/tls.key'],
    )
    const { protocol, hostname, pathname } = new URL(url)
    assert.deepEqual([protocol, pathname], ['https:', '/mcp'])
    const made = await mcpClient({
      ...{ delegation: mesh.gateway.delegation, name: hostname },
      identityDir: await mesh.identity('acme', 'planner'),
    })
    try {
      await delegate(made.client)
    } finally {
      await made.close()
    }
  })
})
