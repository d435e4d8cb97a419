/** grpcio and grpc-go as they are, with certificates of the mesh: a server in Python, clients in Python and Go. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { needProgram } from '../support/need-program.ts'

const run = promisify(execFile)
const FOREIGN = fileURLToPath(new URL('../support/foreign/', import.meta.url))
const PYTHON_AGENT = join(FOREIGN, 'grpc_agent.py')

describe('other languages ride the mesh', function () {
  this.timeout(240_000)
  let mesh: Mesh
  let python: string
  let server: ChildProcess | null = null

  before(async function () {
    const found = await pythonWithGrpc()
    if (found === null) {
      if (process.env.CI === 'true') throw new Error('no python3 with grpcio: CI must have it')
      process.stdout.write('    skipped: no python3 with grpcio (apt-get install python3-grpcio)\n')
      this.skip()
    }
    python = found
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'caller', to: 'snake' }] } } },
      config: { delegation: { limits: { pingMs: '1s' } } },
    })
    server = spawn(python, [PYTHON_AGENT, 'serve', await mesh.identity('acme', 'snake')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    assert.ok(server.stdout)
    const [port] = await once(server.stdout, 'data')
    mesh.announce('acme', 'snake', Number(String(port)))
  })
  after(async () => {
    if (server !== null && server.exitCode === null) {
      const gone = once(server, 'exit')
      server.stdin?.end()
      await gone
    }
    await mesh?.close()
  })

  const callAs = async (file: string, args: string[]) => {
    const target = [mesh.gateway.delegation, mesh.nameOf('acme', 'snake')]
    const { stdout } = await run(file, [...args, ...target], {
      env: { ...process.env, GRPC_VERBOSITY: 'ERROR' },
      timeout: 120_000,
    })
    return stdout.trimEnd().split('\n')
  }
  const caller = 'spiffe://mesh.internal/tenant/acme/agent/caller'

  it('Python calls Python, all four kinds, a silent one too, with statuses and binary trailers', async () => {
    const dir = await mesh.identity('acme', 'caller')
    const lines = await callAs(python, [PYTHON_AGENT, 'call', dir])
    assert.deepEqual(lines, [
      `who ${caller}`,
      "fail FAILED_PRECONDITION not today: 100 % sure b'\\x00\\x01'",
      'done',
    ])
  })

  it('Go calls Python, all four kinds, with statuses', async function () {
    const go = ['/usr/local/go/bin/go', '/usr/bin/go'].find(existsSync) ?? 'go'
    needProgram(this, go, 'version')
    const binary = join(mesh.dir, 'go-client')
    await run(go, ['build', '-o', binary, '.'], { cwd: join(FOREIGN, 'go-client') })
    const lines = await callAs(binary, [await mesh.identity('acme', 'caller')])
    assert.deepEqual(lines, [
      `unary hello ${caller}`,
      'server 3',
      'client ab',
      'both true',
      'fail FailedPrecondition not today: 100 % sure',
      'done',
    ])
  })

  it('a caller that policy does not allow reads why, in its own language', async () => {
    const dir = await mesh.identity('acme', 'stranger')
    await assert.rejects(
      callAs(python, [PYTHON_AGENT, 'call', dir]),
      /PERMISSION_DENIED[\s\S]*MESH_POLICY_NOT_ALLOWED/,
    )
  })
})

async function pythonWithGrpc(): Promise<string | null> {
  for (const candidate of ['/usr/bin/python3', 'python3'])
    if (
      await run(candidate, ['-c', 'import grpc']).then(
        () => true,
        () => false,
      )
    )
      return candidate
  return null
}
