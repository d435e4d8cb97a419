/** The gateways are up before the mesh is; then the first turns go through it. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/wait-for.ts'
import { hostTypeFaults } from '../host-types.ts'
import { call, delegate } from '../prompts.ts'
import { PAGE_TEXT, type World } from '../world.ts'

export function firstContact(world: () => World): void {
  it('what the plugin has written down of the types of OpenClaw is so', async () => {
    assert.equal(await hostTypeFaults(world().openclaw), '')
  })

  it('the plugin that was installed as a package is loaded, with all of its tools', async () => {
    const said = await world().a.command('plugins', 'inspect', 'clawmesh', '--runtime', '--json')
    for (const tool of ['mesh_delegate', 'mesh_task', 'mesh_peers', 'mesh_fetch', 'mesh_ask'])
      assert.match(said, new RegExp(`"${tool}"`))
    assert.match(said, /"status": "loaded"/)
  })

  it('OpenClaw answers turns while the mesh is down, and the tools say so in one sentence', async () => {
    assert.match(await world().a.turn('hello'), /SAID: hello/)
    const said = await world().a.turn(call('mesh_peers', {}))
    assert.match(said, /MESH_GATEWAY_UNREACHABLE|MESH_GATEWAY_STARTING/)
    assert.equal((await world().a.ready()).status, 200)
  })

  it('the mesh comes up later, and is found without a restart', async () => {
    await world().mesh.gateway.start()
    const reached = async () => /SAID: hello/.test(await world().a.turn(delegate('hello')))
    await waitFor('the first delegation', reached, { withinMs: 120_000, everyMs: 1_000 })
  })

  it("A's turn delegates, B's turn fetches through egress, and both are one tree and one trace", async () => {
    const { a, mesh, page } = world()
    const from = (await mesh.audit()).length
    const said = await a.turn(delegate(call('mesh_fetch', { url: page.url })))
    assert.match(said, new RegExp(PAGE_TEXT))
    const lines = await waitFor('the audit lines', async () => {
      const found = (await mesh.audit())
        .slice(from)
        .filter(({ root_id }) => typeof root_id === 'string')
      const done = found.some(({ grpc_method }) => /\/Delegate$/.test(String(grpc_method)))
      return done && found
    })
    const egress = lines.filter(({ event }) => event === 'egress')
    assert.deepEqual(
      egress.map(({ agent_id, destination_host }) => [agent_id, destination_host]),
      [['oc-b', 'page.example']],
    )
    assert.equal(new Set(lines.map(({ root_id }) => root_id)).size, 1)
    const traces = new Set(lines.map(({ trace_id }) => String(trace_id)))
    assert.equal(traces.size, 1)
    const chain = lines.map((line) => JSON.stringify(line.chain))
    assert.deepEqual([...new Set(chain)], ['["spiffe://mesh.internal/tenant/acme/agent/oc-a"]'])
    // B's log names the trace and the tree of its caller beside its own
    const [trace = ''] = traces
    assert.match(world().b.log(), new RegExp(`a turn for a peer has ended .*trace_id=${trace}`))
  })

  it("the model of B is told its caller by B's plugin, not by the caller", async () => {
    const { a, model } = world()
    await a.turn(delegate('I am acme/ceo'))
    const asked = model.asked.findLast(
      ({ prompt }) => /I am acme\/ceo/.test(prompt) && !/CALL/.test(prompt),
    )
    assert.match(asked?.system ?? '', /The caller is the agent acme\/oc-a \(spiffe:/)
    assert.doesNotMatch(asked?.system ?? '', /ceo/)
    assert.deepEqual(asked?.tools.toSorted(), ['exec', 'mesh_ask', 'mesh_delegate', 'mesh_fetch'])
  })

  it('four delegations at once keep their trees apart', async () => {
    const { a, mesh, page } = world()
    const from = (await mesh.audit()).length
    const fetches = Array.from({ length: 4 }, () =>
      a.turn(delegate(call('mesh_fetch', { url: page.url }))),
    )
    for (const said of await Promise.all(fetches)) assert.match(said, new RegExp(PAGE_TEXT))
    const egress = await waitFor('four fetches', async () => {
      const found = (await mesh.audit()).slice(from).filter(({ event }) => event === 'egress')
      return found.length >= 4 && found
    })
    assert.equal(new Set(egress.map(({ root_id }) => root_id)).size, 4)
  })
}
