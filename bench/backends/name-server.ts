/**
 * A DNS server that answers every A question with 127.0.0.1, every SRV question of gRPC with the port that it is started with, and
 * nothing else with anything.
 */
import { createSocket } from 'node:dgram'
import { decode, encode, type Packet } from 'dns-packet'
import { say } from '../process/commands.ts'

const TTL_SECONDS = 60
const SERVICE = '_grpc._tcp.'
const SERVICE_PORT = Number(process.argv[2] ?? 0)
const socket = createSocket('udp4')

socket.on('message', (message, from) => {
  const query = decodeQuery(message)
  const [question] = query?.questions ?? []
  if (query === null || question === undefined) return
  const answers = answersTo(question.type, question.name)
  const reply = encode({ type: 'response', id: query.id ?? 0, questions: [question], answers })
  socket.send(reply, from.port, from.address)
})
socket.bind(0, '127.0.0.1', () => say({ port: socket.address().port }))

function answersTo(type: string, name: string): Packet['answers'] {
  if (type === 'A') return [{ type: 'A', name, ttl: TTL_SECONDS, data: '127.0.0.1' }]
  if (type !== 'SRV' || SERVICE_PORT === 0 || !name.startsWith(SERVICE)) return []
  const target = name.slice(SERVICE.length)
  return [{ type: 'SRV', name, ttl: TTL_SECONDS, data: { port: SERVICE_PORT, target } }]
}

function decodeQuery(message: Buffer): Packet | null {
  try {
    return decode(message)
  } catch {
    return null // not DNS: a name server says nothing to that
  }
}
