/** The messages of a callee that the gateway reads itself, for a tool of MCP: they take their share of the time and no more. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { uuidV7 } from '@clawmesh/proto'
import { loadProto, messageOf } from '@clawmesh/proto/wire'
import { frameOf } from '../../../../mesh-gateway/src/delegation/mcp/grpc-frames.ts'
import { mcpFetch } from '../../../support/mcp-client.ts'
import * as h2 from '../../../support/raw-http2.ts'
import { type Battlefield, openBattlefield } from '../attacks/battlefield.ts'
import { GATEWAY } from '../fixture.ts'

const HEARTBEATS = 20_000
const AT_ONCE = 64
const FRAME_BYTES = 16_384
const DELEGATION = loadProto('clawmesh/delegation/v1/delegation.proto')
const EVENT = messageOf<object>(DELEGATION, 'clawmesh.delegation.v1.Event')

describe('the messages of a callee to the MCP endpoint', () => {
  let field: Battlefield
  before(async () => {
    const keys = [randomBytes(32)]
    field = await openBattlefield({ mcp: { sessionKeys: () => keys } })
  })
  after(() => field.close())

  it('leave the event loop to others, however fast and many they come', async () => {
    const id = uuidV7()
    const heartbeat = { delegation_id: id, heartbeat: {} }
    const failed = { delegation_id: id, seq: 1, failed: { code: 'X', message: 'enough' } }
    const messages = Buffer.concat([
      ...Array<Buffer>(HEARTBEATS).fill(frameOf(EVENT.serialize(heartbeat))),
      frameOf(EVENT.serialize(failed)),
    ])
    let over = false
    let calls = 0
    let turns = 0
    const count = () => {
      turns += 1
      if (!over) setImmediate(count)
    }
    const peer = await field.hostile('babbler', (side) => {
      side.send(h2.settingsFrame())
      side.onFrame(({ type, flags, stream }) => {
        // the windows of the gateway count from then on
        if (type === h2.FRAME.SETTINGS && flags === 0) side.send(h2.settingsAck())
        if (type !== h2.FRAME.HEADERS) return
        calls += 1
        const frames = [
          h2.headersFrame(stream, [
            [':status', '200'],
            ['content-type', 'application/grpc'],
          ]),
        ]
        for (let at = 0; at < messages.length; at += FRAME_BYTES)
          frames.push(h2.frame(h2.FRAME.DATA, 0, stream, messages.subarray(at, at + FRAME_BYTES)))
        const { END_HEADERS, END_STREAM } = h2.FLAG
        frames.push(h2.headersFrame(stream, [['grpc-status', '0']], END_HEADERS | END_STREAM))
        count()
        side.send(...frames)
      })
    })
    const { host, port } = field.mesh.port.address
    const identityDir = await field.mesh.ca.agentDir({ tenant: 'acme', agent: 'planner' })
    const client = await mcpFetch({ delegation: `${host}:${port}`, name: GATEWAY, identityDir })
    try {
      const asked = await client.post({
        ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
        params: { name: 'mesh_delegate', arguments: { peer, skill: 'x' } },
      })
      assert.match(await asked.text(), /enough/)
    } finally {
      over = true
      await client.close()
    }
    assert.equal(calls, 1, 'the task was not looked for again')
    assert.ok(turns >= HEARTBEATS / AT_ONCE, `they were read in ${turns} turns`)
    await field.unharmed()
  })
})
