/** A mesh whose agents no DNS knows: `delegation.peers` gives their addresses, certificates decide as ever. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { Agent, Serving } from '@clawmesh/agent-sdk'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('peers without DNS are called at configured addresses', function () {
  this.timeout(90_000)
  let mesh: Mesh
  let planner: Agent
  const at = new Map<string, Serving>()

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: '*' }] } } },
    })
    planner = await mesh.agent('acme', 'planner', { patience: { startGiveUpMs: 300 } })
    for (const name of ['researcher', 'writer', 'second']) {
      // `second` is another place of the researcher
      const agent = await mesh.agent('acme', name === 'second' ? 'researcher' : name)
      const skills = { where: () => name }
      at.set(name, await agent.serve({ listen: '127.0.0.1:0', skills }))
    }
  })
  after(() => mesh.close())

  const addressOf = (name: string) => `127.0.0.1:${at.get(name)?.address.port}`
  const nameOf = (agent: string) => mesh.nameOf('acme', agent)
  const ask = async (peer: string) =>
    (await planner.delegate(peer, { skill: 'where' }).result()).text()
  const codeOf = (peer: string) =>
    ask(peer).then(
      (answer) => answer,
      (error) => String(error.code),
    )
  async function configure(peers: Readonly<Record<string, string | readonly string[]>>) {
    const config = JSON.parse(await readFile(mesh.gateway.configFile, 'utf8'))
    config.delegation.peers = peers
    await writeFile(mesh.gateway.configFile, JSON.stringify(config))
  }

  it('from the moment that the configuration names them, and no longer', async () => {
    assert.equal(await codeOf('researcher'), 'MESH_PEER_UNRESOLVED')
    await configure({ [nameOf('researcher')]: addressOf('researcher') })
    await waitFor('the researcher', async () => (await codeOf('researcher')) === 'researcher')
    await configure({ [nameOf('researcher')]: addressOf('second') })
    await waitFor('its other place', async () => (await codeOf('researcher')) === 'second')
    const page = await fetch(`http://${mesh.gateway.admin}/`)
    assert.ok((await page.text()).includes(nameOf('researcher')), 'the status page names them')
    await configure({})
    await waitFor('nobody', async () => (await codeOf('researcher')) === 'MESH_PEER_UNRESOLVED')
  })

  it('all of them, while one address is away', async () => {
    const gone = '127.0.0.1:1'
    await configure({ [nameOf('researcher')]: [gone, addressOf('researcher')] })
    await waitFor('the researcher', async () => (await codeOf('researcher')) === 'researcher')
  })

  it('and not when another agent listens there, or the gateway itself', async () => {
    await configure({
      [nameOf('researcher')]: addressOf('writer'),
      [nameOf('writer')]: mesh.gateway.delegation,
      [nameOf('third')]: mesh.gateway.admin,
    })
    for (const name of ['researcher', 'writer', 'third'])
      await waitFor(`a refusal for ${name}`, async () => {
        const code = await codeOf(name)
        return code === 'MESH_PEER_MISMATCH'
      })
    await assert.rejects(ask('third'), /delegation\.peers names the gateway itself/)
  })

  it('and a broken map leaves the old one in force', async () => {
    await configure({ [nameOf('writer')]: addressOf('writer') })
    await waitFor('the writer', async () => (await codeOf('writer')) === 'writer')
    await configure({ writer: addressOf('researcher') })
    await waitFor('the fault', async () => {
      const metrics = await (await fetch(`http://${mesh.gateway.admin}/metrics`)).text()
      return metrics.includes('clawmesh_reload_last_success{what="config"} 0')
    })
    assert.equal(await ask('writer'), 'writer')
  })
})
