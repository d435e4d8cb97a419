/** A gateway that may open no more files says so, instead of blaming DNS, destinations and peers; what is connected goes on. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { MeshError } from '@clawmesh/proto'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { needProgram } from '../support/need-program.ts'
import { waitFor, waitUntilStill } from '../support/wait-for.ts'

describe('a gateway that has no file descriptor left', () => {
  let mesh: Mesh
  let port: number
  const site = createServer((_request, response) => {
    response.setHeader('connection', 'close').end('fetched')
  })
  before(async function () {
    needProgram(this, 'prlimit')
    port = await listenOnFreePort(site)
    mesh = await startMesh({
      policy: {
        _global: { egress: { allowCidrs: ['127.0.0.0/8'], ports: [port] } },
        acme: {
          delegation: { allow: [{ from: 'planner', to: '*' }] },
          egress: { allow: [`*.example.test:${port}`, `127.0.0.1:${port}`] },
        },
      },
    })
    mesh.addHost('one.example.test', ['127.0.0.1'])
    mesh.addHost('two.example.test', ['127.0.0.1'])
  })
  after(async () => {
    await mesh?.close()
    if (site.listening) await closeServer(site)
  })

  it('says so for names and for connections, on both planes, and serves the peers that it is connected to', async () => {
    const skills = { echo: () => 'done' }
    for (const name of ['known', 'fresh']) await mesh.serve('acme', name, { skills })
    const planner = await mesh.agent('acme', 'planner', { patience: { startGiveUpMs: 1 } })
    const call = async (name: string) =>
      (await planner.delegate(name, { skill: 'echo' }).result()).text()
    const get = async (host: string) => (await planner.fetch(`http://${host}:${port}/`)).text()
    const without = { code: 'MESH_GATEWAY_NO_DESCRIPTORS' }
    assert.equal(await call('known'), 'done')
    assert.equal(await get('one.example.test'), 'fetched')

    for (const host of ['two.example.test', '127.0.0.1']) {
      // those of the request before are still being closed
      await waitUntilStill('the open descriptors', () => descriptors().length)
      // one is left, for the connection that brings the request; a file that is read at that moment takes it
      assert.equal(allow(lowestFree() + 1), 0)
      const refused = await waitFor('a connection that the gateway can take', async () => {
        const error: unknown = await get(host).catch((thrown: unknown) => thrown)
        return error instanceof MeshError && error
      })
      assert.equal(refused.code, without.code)
    }
    assert.equal(allow(3), 0)
    await assert.rejects(call('fresh'), (error: unknown) => {
      assert.ok(error instanceof MeshError)
      assert.equal(error.code, without.code)
      assert.match(error.hint, /ulimit -n/)
      return true
    })
    assert.equal(await call('known'), 'done')

    assert.equal(allow(1024), 0)
    assert.equal(await get('two.example.test'), 'fetched')
    assert.equal(await call('fresh'), 'done')
  })

  const descriptors = () => readdirSync(`/proc/${mesh.gateway.pid}/fd`)

  function lowestFree(): number {
    const open = new Set(descriptors().map(Number))
    let free = 0
    while (open.has(free)) free += 1
    return free
  }
  const allow = (most: number) =>
    spawnSync('prlimit', ['--pid', String(mesh.gateway.pid), `--nofile=${most}:`]).status
})
