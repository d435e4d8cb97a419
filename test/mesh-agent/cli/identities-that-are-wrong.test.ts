/** An identity that has expired, or that is of a tenant which the gateway does not serve: a sentence for the model, another for the operator. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeIdentity } from '@clawmesh/pki'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import { waitFor } from '../../support/wait-for.ts'
import { MESH_AGENT } from '../agent-process.ts'
import { runInProcess } from './command.ts'

const PATIENT = { timeout: 120_000 }
const DELEGATE = { peer: 'researcher', skill: 'echo', input: 'x' }

describe('mesh-agent with an identity that is wrong', function () {
  this.timeout(240_000)
  let mesh: Mesh
  const wrong: Record<
    string,
    {
      readonly dir: string
      readonly model: RegExp
      readonly sentence: RegExp
      readonly hint: RegExp
    }
  > = {}

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } },
    })
    const expired = join(mesh.dir, 'expired')
    const issued = mesh.ca.issueAgent({
      tenant: 'acme',
      agent: 'old',
      ttlMs: 30_000,
      notBefore: new Date(Date.now() - 45_000),
    })
    await writeIdentity(expired, issued)
    wrong.expired = {
      dir: expired,
      model: /^MESH_IDENTITY_EXPIRED: /,
      sentence: /^the certificate expired at 2/,
      hint: /renew/,
    }
    wrong.tenant = {
      dir: await mesh.identity('globex', 'bot'),
      model: /^MESH_GATEWAY_NOT_FOR_TENANT: /,
      sentence: /^mesh-agent: MESH_GATEWAY_NOT_FOR_TENANT: /m,
      hint: /./,
    }
  })
  after(() => mesh.close())

  const flags = (dir: string) => ['--identity', dir, '--gateway', mesh.gateway.delegation]
  async function noSecrets(dir: string, said: string) {
    const key = (await readFile(join(dir, 'tls.key'), 'utf8')).split('\n')[1] ?? ''
    assert.ok(key.length > 20 && !said.includes(key))
    assert.doesNotMatch(said, /PRIVATE KEY|eyJ|\n\s+at /)
  }

  for (const what of ['expired', 'tenant'])
    it(`(${what}) a command says so with code and hint, and ends with 1`, async () => {
      const { dir, sentence, hint } = wrong[what] ?? assert.fail()
      for (const command of [['peers'], ['delegate', 'researcher', 'echo', 'x']]) {
        // a machine that has much else to do may not reach the gateway at once
        const { code, stdout, stderr } = await waitFor('an answer of the gateway', async () => {
          const ended = await runInProcess([...command, ...flags(dir)])
          return !/GATEWAY_UNREACHABLE/.test(ended.stderr) && ended
        })
        assert.equal(code, 1)
        assert.equal(stdout, '')
        assert.match(stderr.replace(/^mesh-agent: /, ''), sentence)
        assert.match(stderr, /mesh-agent: hint: /)
        assert.match(stderr, hint)
        await noSecrets(dir, stderr)
      }
    })

  for (const what of ['expired', 'tenant'])
    it(`(${what}) a model is told by MCP, the log has the hint, and the door stays open`, async () => {
      const { dir, model } = wrong[what] ?? assert.fail()
      const transport = new StdioClientTransport({
        ...{ command: process.execPath, args: [MESH_AGENT, 'mcp', ...flags(dir)] },
        ...{ cwd: mesh.dir, stderr: 'pipe' },
      })
      let logged = ''
      transport.stderr?.on('data', (chunk: Buffer) => {
        logged += chunk.toString()
      })
      const client = new Client({ name: 'test', version: '1' })
      await client.connect(transport)
      try {
        for (const [name, args] of [
          ['mesh_delegate', DELEGATE],
          ['mesh_peers', {}],
        ] as const) {
          const request = { method: 'tools/call', params: { name, arguments: args } } as const
          const { text, isError } = await waitFor('an answer of the gateway', async () => {
            const result = await client.request(request, CallToolResultSchema, PATIENT)
            const [content] = result.content
            const said = content?.type === 'text' ? content.text : ''
            return !/GATEWAY_UNREACHABLE/.test(said) && { text: said, isError: result.isError }
          })
          assert.equal(isError, true)
          assert.match(text, model)
          assert.match(text, /What you may do: .*tell your user/)
          await noSecrets(dir, text + logged)
        }
        assert.match(logged, /MESH_(?:IDENTITY|GATEWAY)_/)
        assert.ok((await client.listTools()).tools.length > 0)
      } finally {
        await client.close()
      }
    })
})
