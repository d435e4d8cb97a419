/** The mesh of a process is given up when its host has gone for long, and made anew when one comes after that. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMesh } from '../../../openclaw-plugin/src/core/mesh.ts'
import type { Host } from '../../../openclaw-plugin/src/host/host.ts'
import { startMesh } from '../../support/mesh.ts'
import { waitFor } from '../../support/wait-for.ts'

describe('the mesh of a plugin that was disabled for long', function () {
  this.timeout(120_000)

  it('is there again once the plugin is enabled', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-plugin-'))
    const mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: '*', to: '*' }] } } },
    })
    const identity = await mesh.identity('acme', 'bot')
    const none = () => {}
    const host = (): Host => ({
      ...{ log: { info: none, warn: none, error: none }, stateDir: dir, skillFolders: [] },
      pluginFile: join(dir, 'index.js'),
      pluginConfig: { gateway: mesh.gateway.delegation, identity },
      runTurn: () => assert.fail('nobody is served'),
    })
    const plugin = createMesh({ takeOverMs: 1 })
    const works = async () => {
      const { isError } = await plugin.run({
        tool: 'mesh_peers',
        ...{ params: {}, agentId: 'main', sessionKey: 'agent:main:main' },
        ...{ traceparent: null, workspaceDir: null, signal: null, onProgress: none },
      })
      return !isError
    }
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
      await mesh.close()
      await rm(dir, { recursive: true, force: true })
    }
  })
})
