/** The mesh of a process is given up when its host has gone for long, whole, and made anew when one comes after that. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createMesh } from '../../../openclaw-plugin/src/core/mesh.ts'
import type { Host } from '../../../openclaw-plugin/src/host/host.ts'
import { type Mesh, startMesh } from '../../support/mesh.ts'
import { waitFor } from '../../support/wait-for.ts'

const RELAY = `
const { writeFileSync } = require('node:fs')
writeFileSync(__filename + '.begun', '')
process.stdin.on('end', () => writeFileSync(__filename + '.ended', '')).resume()`

describe('the mesh of a plugin', function () {
  this.timeout(120_000)
  let dir: string
  let mesh: Mesh
  let identity: string
  const said: string[] = []
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-plugin-'))
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } },
    })
    identity = await mesh.identity('acme', 'bot')
  })
  after(async () => {
    await mesh.close()
    await rm(dir, { recursive: true, force: true })
  })

  const say = (message: string) => void said.push(message)
  const host = (more: object = {}): Host => ({
    ...{ log: { info: say, warn: say, error: say }, stateDir: dir, skillFolders: [] },
    pluginFile: join(dir, 'index.js'),
    pluginConfig: { gateway: mesh.gateway.delegation, identity, ...more },
    runTurn: () => assert.fail('nobody is served'),
  })

  it('is there again once the plugin is enabled after a long time', async () => {
    const plugin = createMesh({ takeOverMs: 1 })
    const works = () => reaches(plugin)
    try {
      const first = host()
      plugin.begin(first)
      await waitFor('the mesh', works)
      plugin.release(first)
      await waitFor('its end', async () => !(await works()))
      plugin.begin(host())
      await waitFor('the mesh again', works)
    } finally {
      await plugin.close()
    }
  })

  it('lets go of everything when it is closed, also when a part of it does not end well', async () => {
    const plugin = createMesh()
    const ask = { agent: 'main', callers: ['*'] }
    // what the plugin starts as its relay
    const relay = join(dir, 'index.js')
    await writeFile(relay, RELAY)
    const egress = `http://${mesh.gateway.egress}`
    plugin.begin(host({ listen: '127.0.0.1:0', egress, serve: { ask }, relay: {} }))
    await waitFor('the mesh', () => reaches(plugin))
    await waitFor('the port of the agent', () => said.some((line) => /serves ask/.test(line)))
    await waitFor('the relay', () => existsSync(`${relay}.begun`))
    const { close } = DatabaseSync.prototype
    DatabaseSync.prototype.close = () => {
      throw new Error('the disk is gone')
    }
    try {
      await assert.rejects(plugin.close())
    } finally {
      DatabaseSync.prototype.close = close
    }
    await waitFor('the end of the relay', () => existsSync(`${relay}.ended`))
  })
})

async function reaches(plugin: ReturnType<typeof createMesh>): Promise<boolean> {
  const { isError } = await plugin.run({
    tool: 'mesh_peers',
    ...{ params: {}, agentId: 'main', sessionKey: 'agent:main:main', onProgress: () => {} },
    ...{ traceparent: null, workspaceDir: null, signal: null },
  })
  return !isError
}
