/** An egress port in a process of its own, for tests of what runs out: prints its port and a token, ends with its stdin. */
import { once } from 'node:events'
import { setUp } from './setup.ts'

const setup = setUp()
const { port } = await setup.upstream((socket) => {
  socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
})
const egress = await setup.egress(port)
const token = await egress.token({ destinations: [`api.test:${port}`] })
process.stdout.write(`${JSON.stringify({ number: egress.number, port, token })}\n`)
await once(process.stdin.resume(), 'end')
await setup.close()
