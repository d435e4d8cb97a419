/** The plugin keeps an egress relay running: the same built file, as a process of its own. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askRelay } from '@clawmesh/agent-sdk/mesh'
import { buildPlugin } from '@clawmesh/openclaw-plugin/build'
import { Secret } from '@clawmesh/proto'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'
import { createStandInOpenClaw, type StandInOpenClaw } from './stand-in/openclaw.ts'

describe('the relay is kept beside its host', function () {
  this.timeout(120_000)
  let mesh: Mesh
  let dir = ''
  let host: StandInOpenClaw
  let port = 0

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-plugin-'))
    await buildPlugin(join(dir, 'plugin'))
    mesh = await startMesh({ policy: { acme: { egress: { allow: ['b.example'] } } } })
    port = await freePort()
    host = createStandInOpenClaw({
      ...{ pluginDir: join(dir, 'plugin'), dir: await mkdtemp(join(dir, 'host-')) },
      pluginConfig: await settings(),
    })
    await host.start()
  })
  after(async () => {
    await host?.stop()
    await mesh?.close()
    await rm(dir, { recursive: true, force: true })
  })

  const settings = async (more: object = {}) => ({
    ...{ gateway: mesh.gateway.delegation, egress: `http://${mesh.gateway.egress}` },
    ...{ identity: await mesh.identity('acme', 'planner'), relay: { listen: `127.0.0.1:${port}` } },
    ...more,
  })
  /** The process that serves. */
  const serving = (but?: number) =>
    waitFor('a relay', async () => {
      const secret = await readFile(join(host.stateDir, 'clawmesh/relay.secret'), 'utf8').catch(
        () => null,
      )
      if (secret === null) return false
      const found = await askRelay({ host: '127.0.0.1', port }, new Secret(secret.trim()))
      return found.kind === 'relay' && found.status.pid !== but && found.status.pid
    })

  it('as a process of its own, which an edit of the configuration does not touch', async () => {
    const pid = await serving()
    assert.notEqual(pid, process.pid)
    await host.reload(await settings({ peers: ['researcher'] }))
    assert.equal(await serving(), pid)
  })

  it('and is there again when it was killed, after a reload too', async () => {
    const pid = await serving()
    process.kill(pid, 'SIGKILL')
    assert.notEqual(await serving(pid), pid)
  })

  it('and ends with its host', async () => {
    const pid = await serving()
    await host.stop()
    await waitFor('its end', () => {
      try {
        process.kill(pid, 0)
        return false
      } catch {
        // there is no such process any more
        return true
      }
    })
  })
})
