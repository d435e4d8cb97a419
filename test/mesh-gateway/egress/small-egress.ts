/** An egress port in a process of its own, for tests of what runs out: prints its port and a token, ends with its stdin. */
import { once } from 'node:events'
import { startEgress, startUpstream } from './fixture.ts'

const upstream = await startUpstream((socket) => {
  socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
})
const { port } = upstream
const egress = await startEgress({
  names: { 'api.test': ['127.0.0.1'] },
  egress: { allow: [`api.test:${port}`] },
  global: { ports: [port] },
})
const token = await egress.token({ destinations: [`api.test:${port}`] })
process.stdout.write(`${JSON.stringify({ number: egress.number, port, token })}\n`)
await once(process.stdin.resume(), 'end')
await egress.close()
await upstream.close()
