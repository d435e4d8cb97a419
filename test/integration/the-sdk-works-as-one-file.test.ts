import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as Sdk from '@clawmesh/agent-sdk'
import { bundleSdk } from '../support/bundle-sdk.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const AGENT = join(ROOT, 'test/support/bundled-agent.ts')
/** 18 MB and 40 packages before it was bundled. */
const LARGEST_BYTES = 2_000_000

describe('the SDK works as one file', () => {
  let mesh: Mesh
  let origin: Server
  let url: string
  let dir: string

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-one-file-'))
    origin = createServer((_, response) => response.end('read through the port'))
    const port = await listenOnFreePort(origin)
    url = `http://docs.acme.mesh.internal:${port}/`
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
        acme: {
          egress: { allow: [`docs.acme.mesh.internal:${port}`] },
          delegation: { allow: [{ from: 'planner', to: 'researcher' }] },
        },
      },
    })
    mesh.addHost('docs.acme.mesh.internal', ['127.0.0.1'])
  })
  after(async () => {
    await mesh.close()
    await closeServer(origin)
    await rm(dir, { recursive: true, force: true })
  })

  for (const format of ['esm', 'cjs'] as const)
    it(`${format}: in an empty directory it serves, fetches and delegates, also when the file is gone`, async () => {
      const made = join(dir, `made.${format === 'esm' ? 'mjs' : 'cjs'}`)
      const bytes = await bundleSdk(AGENT, made, format, ROOT)
      process.stdout.write(`      one ${format} file: ${(bytes / 1e6).toFixed(2)} MB\n`)
      assert.ok(bytes < LARGEST_BYTES, `${bytes} bytes`)

      const empty = join(dir, format)
      await mkdir(empty)
      const file = join(empty, `agent.${format === 'esm' ? 'mjs' : 'cjs'}`)
      await copyFile(made, file)
      const identities = ['planner', 'researcher'].map((name) => mesh.identity('acme', name))
      const child = spawn(
        process.execPath,
        [
          ...[file, mesh.gateway.delegation, `http://${mesh.gateway.egress}`],
          ...(await Promise.all(identities)),
          url,
        ],
        { cwd: empty, stdio: ['pipe', 'pipe', 'inherit'], env: {} },
      )
      const ended = once(child, 'close')
      try {
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
        const next = async () => {
          const { done, value } = await lines.next()
          assert.ok(done !== true, 'the program says something')
          return value
        }
        mesh.announce('acme', 'researcher', Number(await next()))
        child.stdin.write('go\n')
        assert.equal(await next(), 'read through the port')
        assert.equal(await exitCodeOf(child, ended), 0)
        assert.deepEqual(await readdir(empty), [])
      } finally {
        child.kill()
      }
    })

  it('lives twice in one process, each copy with agents of its own', async () => {
    const bundled = join(dir, 'sdk.mjs')
    await bundleSdk('@clawmesh/agent-sdk', bundled, 'esm', ROOT)
    const files = ['one.mjs', 'two.mjs'].map((name) => join(dir, name))
    for (const file of files) await copyFile(bundled, file)
    const [one, two]: readonly (typeof Sdk)[] = await Promise.all(
      files.map((file) => import(pathToFileURL(file).href)),
    )
    assert.ok(one !== undefined && two !== undefined && one.createAgent !== two.createAgent)

    const { silentLog: log } = one
    const { delegation: gateway } = mesh.gateway
    const identity = (name: string) => mesh.identity('acme', name)
    const serves = await one.createAgent({ gateway, identity: await identity('researcher'), log })
    const delegates = await two.createAgent({ gateway, identity: await identity('planner'), log })
    try {
      const skills = { echo: (task: Sdk.Task) => task.text() }
      const { address } = await serves.serve({ listen: '127.0.0.1:0', skills })
      mesh.announce('acme', 'researcher', address.port)
      const delegation = delegates.delegate('researcher', { skill: 'echo', input: 'twice' })
      assert.equal((await delegation.result()).text(), 'twice')
    } finally {
      await delegates.close()
      await serves.close()
    }
  })

  it('is loaded by require() as well: nothing in its static imports awaits', () => {
    const required: typeof Sdk = createRequire(import.meta.url)('@clawmesh/agent-sdk')
    assert.equal(typeof required.createAgent, 'function')
  })
})

async function exitCodeOf(child: ChildProcess, ended: Promise<unknown>): Promise<number | null> {
  await ended
  return child.exitCode
}
