/** OpenClaw as a client of MCP: the same tools without the plugin, two sessions in one process. */
import assert from 'node:assert/strict'
import { call } from '../prompts.ts'
import type { World } from '../world.ts'

export function mcpDoor(world: () => World): void {
  /** Of the records since `from`. Those of other calls may be late: refusals of a loop are told together after ten seconds. */
  const callersOfB = async (from: number) =>
    (await world().mesh.audit())
      .slice(from)
      .filter(({ grpc_method }) => /\/Delegate$/.test(String(grpc_method)))
      .filter(({ callee }) => /\/agent\/oc-b$/.test(String(callee)))
      .map(({ agent_id }) => agent_id)

  it('two sessions of OpenClaw delegate through one mesh-agent mcp', async () => {
    const { a, mesh } = world()
    const from = (await mesh.audit()).length
    const asked = { peer: 'oc-b', skill: 'ask', input: 'by MCP' }
    const turns = ['one', 'two'].map((user) => a.turn(call('door__mesh_delegate', asked), { user }))
    for (const said of await Promise.all(turns)) assert.match(said, /SAID: by MCP/)
    assert.deepEqual(await callersOfB(from), ['door', 'door'])
  })
  it("the gateway's own /mcp takes OpenClaw's client certificate, without any process of ours", async () => {
    const { a, mesh } = world()
    const from = (await mesh.audit()).length
    const asked = { peer: 'oc-b', skill: 'ask', input: 'by the gateway' }
    assert.match(await a.turn(call('gateway__mesh_delegate', asked)), /SAID: by the gateway/)
    assert.deepEqual(await callersOfB(from), ['oc-a'])
  })
}
