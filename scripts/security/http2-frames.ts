/** HTTP/2 frames on the delegation port: at random, and of good calls that are bent, reset and flooded with headers. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import * as h2 from '../../test/support/raw-http2.ts'
import { type AttackedMesh, openAttackedMesh } from './attacked-mesh.ts'
import type { Campaign, Report } from './campaign.ts'
import { attackerOf, dial, startCountingPeer } from './delegation-client.ts'
import { createRandom, type Random } from './random.ts'
import { toldTimes } from './read-audit.ts'

const CONNECTIONS = 80
const FRAMES = 60
/** For what the last frames of a connection make the gateway do. */
const LINGER_MS = 20

export const http2Frames: Campaign = {
  name: 'http2 frames',
  async run(seed, deadlineMs, report) {
    await using world = await openAttackedMesh(report)
    await attack(world, createRandom(seed), deadlineMs, report)
  },
}

async function attack(
  world: AttackedMesh,
  random: Random,
  deadlineMs: number,
  report: Report,
): Promise<void> {
  const { mesh } = world
  const peer = await startCountingPeer(mesh)
  try {
    const attacker = await attackerOf(mesh)
    let sent = 0
    for (let count = 0; count < CONNECTIONS && Date.now() < deadlineMs; count += 1) {
      const side = h2.rawSide(await dial(mesh, attacker))
      if (random.int(20) > 0) await side.send(h2.PREFACE, h2.settingsFrame())
      const frames = 1 + random.int(FRAMES)
      for (let i = 0; i < frames; i += 1) {
        const stream = random.int(10) === 0 ? random.int(2 ** 31) : i * 2 + 1
        const attacks = random.pick(ATTACKS)(stream, peer.name, random)
        sent += attacks.length
        if (!(await side.send(...attacks))) break
      }
      await Promise.race([side.closed, sleep(LINGER_MS)])
      side.socket.destroy()
      report.steps(frames)
    }
    await world.unharmed()
    const lines = await world.end()
    const told = toldTimes(lines, ({ tenant }) => tenant === 'acme')
    assert.ok(told <= sent, `${told} records of ${sent} frames`)
    assert.ok(peer.arrived() <= told, `${peer.arrived()} calls arrived, ${told} are told`)
  } finally {
    await peer.close()
  }
}

type Attack = (stream: number, authority: string, random: Random) => readonly Buffer[]

const head = (authority: string, ...more: readonly h2.Header[]): readonly h2.Header[] => [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':path', '/test.v1.Echo/Unary'],
  [':authority', authority],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ...more,
]
const MESSAGE = Buffer.from([0, 0, 0, 0, 5, ...Buffer.from('hello')])

const goodCall: Attack = (stream, authority) => [
  h2.headersFrame(stream, head(authority)),
  h2.frame(h2.FRAME.DATA, h2.FLAG.END_STREAM, stream, MESSAGE),
]

const bentCall: Attack = (stream, authority, random) => {
  const bytes = Buffer.concat(goodCall(stream, authority, random))
  for (let i = 1 + random.int(4); i > 0; i -= 1) bytes[random.int(bytes.length)] = random.int(256)
  return [random.int(4) === 0 ? bytes.subarray(0, random.int(bytes.length)) : bytes]
}

const randomFrame: Attack = (stream, _, random) => [
  h2.frame(random.int(12), random.int(256), stream, random.bytes(random.int(200))),
]

const resetCalls: Attack = (stream, authority, random) =>
  Array.from({ length: 1 + random.int(40) }, (_, i) =>
    Buffer.concat([
      h2.headersFrame(stream + i * 2, head(authority)),
      h2.rstFrame(stream + i * 2, random.int(14)),
    ]),
  )

const manyHeaders: Attack = (stream, authority, random) => [
  h2.headersFrame(stream, head(authority), 0),
  ...Array.from({ length: random.int(8) }, () => {
    const name = random.pick(['x', 'x-mesh-agent', 'cookie', ':path', 'X-Upper', 'grpc-timeout'])
    // noise resets the call at once; what is well-formed is judged further
    const value = random.pick([random.bytes(random.int(400)), Buffer.from('a'.repeat(40))])
    const block = h2.headerBlock(Array.from({ length: random.int(5) }, () => [name, value]))
    return h2.frame(h2.FRAME.CONTINUATION, 0, stream, block)
  }),
  h2.frame(h2.FRAME.CONTINUATION, h2.FLAG.END_HEADERS, stream),
]

const oddFields: Attack = (stream, authority, random) => {
  const names = [
    'cookie',
    'x-mesh-delegation',
    'x-mesh-narrow-destinations',
    'grpc-timeout',
    'traceparent',
  ]
  const value = random.pick([
    random.bytes(random.int(60)),
    Buffer.from(' a\t'),
    Buffer.alloc(9_000),
  ])
  return [h2.headersFrame(stream, head(authority, [random.pick(names), value]))]
}

const control: Attack = (stream, _, random) =>
  Array.from({ length: 1 + random.int(60) }, () =>
    random.pick([
      h2.windowFrame(random.pick([0, stream]), random.int(2 ** 31)),
      h2.frame(h2.FRAME.PING, 0, 0, random.bytes(8)),
      h2.settingsFrame([[random.int(10), random.int(2 ** 31)]]),
      h2.goawayFrame(random.int(2 ** 31), random.int(14)),
      h2.frame(h2.FRAME.PRIORITY, 0, stream, random.bytes(5)),
      h2.frame(h2.FRAME.PUSH_PROMISE, h2.FLAG.END_HEADERS, stream, random.bytes(12)),
    ]),
  )

const noFrame: Attack = (_stream, _authority, random) => [random.bytes(random.int(300))]

/** Good calls are the most of it: a fault lies between two of them more often than in noise alone. */
const ATTACKS: readonly Attack[] = [
  ...[goodCall, goodCall, goodCall, bentCall, bentCall],
  ...[randomFrame, resetCalls, manyHeaders, oddFields, control, noFrame],
]
