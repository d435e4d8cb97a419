import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { rawClient, refusalOf, sendRaw } from './fixture.ts'
import { basic, get, setUp } from './setup.ts'

describe('an egress port of a process with little memory', () => {
  const setup = setUp()
  afterEach(setup.close)

  it('refuses new requests and connections, carries open ones to their end, and serves again', async () => {
    let overloaded = false
    let exhausted = false
    const asked = Promise.withResolvers<void>()
    const answering = Promise.withResolvers<void>()
    const { port } = await setup.http(async (_, response) => {
      asked.resolve()
      await answering.promise
      response.end('done')
    })
    const memory = { overloaded: () => overloaded, exhausted: () => exhausted }
    const egress = await setup.egress(port, { port: { memory } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const open = await rawClient(egress.number)
    open.send(get(port, `${auth}Connection: close\r\n`))
    await asked.promise
    overloaded = true
    const answer = await sendRaw(egress.number, get(port, auth))
    assert.match(answer, /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n/i)
    assert.equal(refusalOf(answer).code, 'MESH_GATEWAY_OVERLOADED')
    exhausted = true
    const late = connect(egress.number, '127.0.0.1')
    await assert.rejects(once(late, 'end'), { code: 'ECONNRESET' })
    answering.resolve()
    assert.match(await open.rest(), /^HTTP\/1\.1 200 [\s\S]*done/)
    open.socket.destroy()
    overloaded = false
    exhausted = false
    assert.match(
      await sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`)),
      /^HTTP\/1\.1 200 /,
    )
  })

  it('serves a few requests and connections all the same, and counts them to their end', async () => {
    let most = { requests: 1, connections: 1 }
    const asked = Promise.withResolvers<void>()
    const answering = Promise.withResolvers<void>()
    const { port } = await setup.http(async (_, response) => {
      asked.resolve()
      await answering.promise
      response.end('done')
    })
    const memory = {
      overloaded: (served: number) => served >= most.requests,
      exhausted: (open: number) => open >= most.connections,
    }
    const egress = await setup.egress(port, { port: { memory } })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    const open = await rawClient(egress.number)
    open.send(get(port, `${auth}Connection: close\r\n`))
    await asked.promise
    const late = connect(egress.number, '127.0.0.1')
    await assert.rejects(once(late, 'end'), { code: 'ECONNRESET' })
    most = { requests: 1, connections: 2 }
    assert.match(await sendRaw(egress.number, get(port, auth)), /^HTTP\/1\.1 503 /)
    answering.resolve()
    assert.match(await open.rest(), /^HTTP\/1\.1 200 [\s\S]*done/)
    open.socket.destroy()
    const after = await sendRaw(egress.number, get(port, `${auth}Connection: close\r\n`))
    assert.match(after, /^HTTP\/1\.1 200 /)
  })
})
