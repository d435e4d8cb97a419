/** A DNS server that answers every A question with 127.0.0.1, and nothing else with anything. */
import { createSocket } from 'node:dgram'
import { decode, encode, type Packet } from 'dns-packet'
import { say } from '../process/commands.ts'

const TTL_SECONDS = 60
const socket = createSocket('udp4')

socket.on('message', (message, from) => {
  const query = decodeQuery(message)
  const [question] = query?.questions ?? []
  if (query === null || question === undefined) return
  const answers: Packet['answers'] =
    question.type === 'A'
      ? [{ type: 'A', name: question.name, ttl: TTL_SECONDS, data: '127.0.0.1' }]
      : []
  const reply = encode({ type: 'response', id: query.id ?? 0, questions: [question], answers })
  socket.send(reply, from.port, from.address)
})
socket.bind(0, '127.0.0.1', () => say({ port: socket.address().port }))

function decodeQuery(message: Buffer): Packet | null {
  try {
    return decode(message)
  } catch {
    return null // not DNS: a name server says nothing to that
  }
}
