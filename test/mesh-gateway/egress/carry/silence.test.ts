import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { SilenceTimer } from '../../../../mesh-gateway/src/egress/carry/silence.ts'
import { rawClient } from '../fixture.ts'
import { basic, connectTo, type Setup, setUp } from '../setup.ts'

const IDLE_MS = 50
/** Longer than IDLE_MS on any machine, however busy. */
const THOUGHT_MS = 8 * IDLE_MS

describe('silence', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  function timer(limits: { idleMs: number; answerMs: number }) {
    const state = { awaits: false, ended: false }
    const silence = new SilenceTimer(
      limits,
      () => state.awaits,
      () => {
        state.ended = true
      },
    )
    const endedIn = (ms: number) => {
      // step by step: a timer that is set on the way begins at that moment
      for (let step = 0; step < ms; step += 1) mock.timers.tick(1)
      return state.ended
    }
    return { state, silence, endedIn }
  }

  for (const [first, limits] of [
    ['idle', { idleMs: 300, answerMs: 900 }],
    ['answer', { idleMs: 900, answerMs: 300 }],
  ] as const) {
    it(`ends what is idle after its time, and what waits for an answer after that, ${first} the shorter`, () => {
      for (const awaits of [false, true]) {
        const { state, silence, endedIn } = timer(limits)
        state.awaits = awaits
        const limitMs = awaits ? limits.answerMs : limits.idleMs
        assert.equal(endedIn(limitMs - 1), false)
        assert.equal(endedIn(1), true)
        silence.stop()
      }
    })
  }

  it('begins anew when something moves, also when it had lasted longer than the idle time', () => {
    const { state, silence, endedIn } = timer({ idleMs: 300, answerMs: 900 })
    state.awaits = true
    assert.equal(endedIn(899), false)
    silence.refresh()
    state.awaits = false
    assert.equal(endedIn(299), false)
    assert.equal(endedIn(1), true)
  })

  it('is not measured any more once it was stopped', () => {
    const { silence, endedIn } = timer({ idleMs: 300, answerMs: 900 })
    silence.stop()
    assert.equal(endedIn(10_000), false)
  })
})

describe('a destination that thinks for longer than a tunnel may be idle', () => {
  let setup: Setup
  beforeEach(() => {
    setup = setUp()
  })
  afterEach(() => setup.close())

  it('is waited for, by one request that is asked once', async () => {
    let asked = 0
    const { port } = await setup.http((request, response) => {
      asked += 1
      request.resume()
      setTimeout(() => response.end('thought'), THOUGHT_MS)
    })
    const egress = await setup.egress(port, { port: { timeouts: { idleMs: IDLE_MS } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(
      `POST http://api.test:${port}/ HTTP/1.1\r\nHost: api.test:${port}\r\nContent-Length: 2\r\nConnection: close\r\n${auth}\r\n{}`,
    )
    const answer = await client.rest()
    client.socket.destroy()
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*thought/)
    assert.equal(asked, 1)
  })

  it('is given up after the time for an answer, with 504', async () => {
    const { port } = await setup.upstream((socket) => socket.resume())
    const timeouts = { idleMs: 600_000, answerMs: IDLE_MS }
    const egress = await setup.egress(port, { port: { timeouts } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(`GET http://api.test:${port}/ HTTP/1.1\r\nHost: api.test:${port}\r\n${auth}\r\n`)
    await client.until((text) => /^HTTP\/1\.1 504 [\s\S]*MESH_EGRESS_TIMEOUT/.test(text))
    client.socket.destroy()
  })

  it('is waited for in a tunnel as well, since the bytes of the client were the last', async () => {
    const { port } = await setup.upstream((socket) => {
      socket.once('data', () => setTimeout(() => socket.end('thought'), THOUGHT_MS))
    })
    const egress = await setup.egress(port, { port: { timeouts: { idleMs: IDLE_MS } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(connectTo(port, auth))
    await client.until((text) => text.endsWith('\r\n\r\n'))
    client.send(`GET / HTTP/1.1\r\nHost: api.test:${port}\r\n\r\n`)
    await client.until((text) => text.endsWith('thought'))
    client.socket.destroy()
  })

  it('has ended its part once it has answered: then a tunnel may be idle for the shorter time only', async () => {
    const { port } = await setup.upstream((socket) => {
      socket.once('data', () => socket.write('hello'))
    })
    const egress = await setup.egress(port, { port: { timeouts: { idleMs: IDLE_MS } } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const client = await rawClient(egress.number)
    client.send(connectTo(port, auth))
    await client.until((text) => text.endsWith('\r\n\r\n'))
    client.send(`GET / HTTP/1.1\r\nHost: api.test:${port}\r\n\r\n`)
    await client.rest()
    assert.equal((await egress.record(0)).reason, 'MESH_EGRESS_IDLE')
    client.socket.destroy()
  })
})
