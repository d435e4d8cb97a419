import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { describeClosing, leftOpen, openResources } from './closes-everything.ts'
import { watchFile } from './nothing-left-open.ts'

describeClosing('the watch over what tests leave open', () => {
  it('sees servers and sockets, and that they are closed', async () => {
    const before = openResources()
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    assert.deepEqual(await leftOpen(before, 0), ['1 TCPServerWrap'])
    const bound = server.address()
    const port = bound !== null && typeof bound === 'object' ? bound.port : 0
    const socket = connect(port, '127.0.0.1')
    const [accepted] = await once(server, 'connection')
    assert.ok((await leftOpen(before, 0)).includes('2 TCPSocketWrap'))
    socket.destroy()
    accepted.destroy()
    server.close()
    assert.deepEqual(await leftOpen(before, 1_000), [])
  })

  it('at the end of a file fails it, until all is closed', async () => {
    const file = watchFile(500)
    file.beforeAll()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    await assert.rejects(file.afterAll(), /left open at the end of the file: 1 TCPServerWrap/)
    server.close()
    await once(server, 'close')
    await file.afterAll()
  })
})
