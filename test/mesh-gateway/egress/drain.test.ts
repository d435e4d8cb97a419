/** The start of a drain meets connections that are kept between two requests. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { basic, connectTo, get, setUp } from './setup.ts'

describe('a kept connection, when the egress port begins to drain', () => {
  const setup = setUp()
  afterEach(setup.close)

  const kept = async () => {
    const { port } = await setup.http((incoming, response) => response.end(incoming.url))
    const egress = await setup.egress(port)
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const socket = connect(egress.number, '127.0.0.1')
    socket.write(get(port, auth, '/first'))
    const [first] = await once(socket, 'data')
    assert.match(String(first), /^HTTP\/1\.1 200 [\s\S]*\/first$/)
    const drained = egress.port.drain(30_000)
    return { socket, drained, port, auth }
  }

  it('has the request served that is on its way, and is told that it was the last one', async () => {
    const { socket, drained, port, auth } = await kept()
    socket.write(get(port, auth, '/last'))
    assert.match(await text(socket), /^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*\/last$/i)
    await drained
  })

  it('gets no tunnel that would be cut', async () => {
    const { socket, drained, port, auth } = await kept()
    socket.write(connectTo(port, auth))
    assert.match(await text(socket), /^HTTP\/1\.1 503 [\s\S]*MESH_GATEWAY_DRAINING/)
    await drained
  })

  it('is closed a moment later when no request comes', async () => {
    const { socket, drained } = await kept()
    assert.equal(await text(socket), '')
    await drained
  })
})
