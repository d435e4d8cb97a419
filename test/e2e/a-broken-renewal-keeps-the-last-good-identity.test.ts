/** Torn, mismatched and foreign files in place of a certificate: gateway and agents go on with what they had. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Mesh, makeCa, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

describe('a broken renewal keeps the last good identity', () => {
  let mesh: Mesh

  before(async () => {
    mesh = await startMesh({
      policy: { acme: { delegation: { allow: [{ from: 'planner', to: 'worker' }] } } },
    })
    await mesh.serve('acme', 'worker', { skills: { echo: (task) => task.text() } })
  })
  after(() => mesh.close())

  const metric = async (pattern: RegExp) => {
    const text = await (await fetch(`http://${mesh.gateway.admin}/metrics`)).text()
    return pattern.exec(text)?.[1] ?? null
  }
  const reloadResult = () => metric(/^clawmesh_\w*reload\w*\{[^}]*identity[^}]*\} (\d+)$/m)
  const works = async () => {
    // a new agent, so that a new connection is made
    const planner = await mesh.agent('acme', 'planner')
    const result = await planner.delegate('worker', { skill: 'echo', input: 'still here' }).result()
    assert.equal(result.text(), 'still here')
    await planner.close()
  }

  it('of the gateway, whatever is wrong with the files, and takes the next good one', async () => {
    const dir = join(mesh.dir, 'gateway')
    const good = await readFile(join(dir, 'tls.crt'))
    const other = await makeCa(join(mesh.dir, 'other-ca'))
    const foreign = other.issueGateway({ name: 'gw-1', tenants: ['acme'] })
    const broken: [string, string | Buffer][] = [
      ['an empty file', ''],
      ['half of it', good.subarray(0, good.length / 2)],
      ['garbage', Buffer.from([0, 1, 2, 3])],
      ['a certificate of another key and CA', foreign.certificateChain],
    ]
    for (const [what, bytes] of broken) {
      await mesh.renew('gateway')
      await waitFor(`a good reload before ${what}`, async () => (await reloadResult()) === '1')
      await writeFile(join(dir, 'tls.crt'), bytes)
      await waitFor(`${what} to be refused`, async () => (await reloadResult()) === '0')
      await works()
    }
    assert.equal(mesh.gateway.lastLines().join('\n').includes('BEGIN'), false)
    await mesh.renew('gateway')
    await waitFor('the next good one to be taken', async () => (await reloadResult()) === '1')
    await works()
  }).timeout(120_000)

  it('of an agent that runs, which goes on calling', async () => {
    const dir = await mesh.identity('acme', 'planner')
    const planner = await mesh.agent('acme', 'planner')
    const call = async () =>
      (await planner.delegate('worker', { skill: 'echo', input: 'x' }).result()).text()
    assert.equal(await call(), 'x')
    await writeFile(join(dir, 'ca.crt'), '')
    await writeFile(join(dir, 'tls.key'), 'not a key')
    for (let i = 0; i < 5; i += 1) assert.equal(await call(), 'x')
    await mesh.renew({ tenant: 'acme', agent: 'planner' })
    assert.equal(await call(), 'x')
  }).timeout(60_000)
})
