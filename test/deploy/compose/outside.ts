/**
 * The outside of the stack, in the network of the engine: outside.ts ADDRESS. A page at port 80 of ADDRESS, an
 * answer that never ends (81), a service of the machine on all its addresses (9999), and the resolver of the machine on loopback,
 * which prints each question. The first line says that all of it listens.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { decode, encode } from 'dns-packet'

const [address = ''] = process.argv.slice(2)

const page = createServer((request, response) => {
  request.resume()
  response.end(`the page of ${request.headers.host}\n`)
})
const endless = createServer((_, response) => {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  const send = () => {
    while (response.write(chunk));
  }
  response.on('error', () => {}).on('drain', send)
  send()
})
const service = createTcpServer((socket) => socket.on('error', () => {}).end('the machine\n'))
/** Of its own address too: who asks there takes no answer from another. */
const resolvers = ['0.0.0.0', address].map((at) => {
  const resolver = createSocket({ type: 'udp4', reuseAddr: true })
  resolver.on('message', (message, from) => {
    resolver.send(answerTo(message), from.port, from.address)
  })
  return resolver.bind(53, at)
})

function answerTo(message: Buffer): Buffer {
  const { id, questions = [] } = decode(message)
  for (const { name } of questions) process.stdout.write(`asked ${name}\n`)
  const answers = questions
    .filter(({ type }) => type === 'A')
    .map(({ name }) => ({ type: 'A' as const, name, ttl: 60, data: address }))
  return encode({ type: 'response', id: id ?? 0, flags: 0x180, questions, answers })
}

page.listen(80, address)
endless.listen(81, address)
service.listen(9999, '0.0.0.0')
await Promise.all([page, endless, service, ...resolvers].map((each) => once(each, 'listening')))
process.stdout.write('listening\n')
