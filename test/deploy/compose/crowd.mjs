// Runs inside of the agent: asks for answers that never end, reads nothing of them, and keeps them open until many requests
// are refused with 503. Prints what became of them.
import { readFileSync } from 'node:fs'
import { connect } from 'node:tls'

const { token, most } = JSON.parse(process.argv[1])
const ca = readFileSync('/etc/clawmesh/ca.crt')
const seen = { open: 0, refused: 0, closed: 0, other: 0 }
const MEANING = { 200: 'open', 503: 'refused' }
const sockets = []

function ask() {
  return new Promise((resolve) => {
    const socket = connect({ host: 'gateway.mesh.internal', port: 8080, ca })
    sockets.push(socket)
    let text = ''
    const end = (what) => {
      if (what !== null) seen[what] += 1
      resolve()
    }
    socket.on('error', () => {}).once('close', () => end(text === '' ? 'closed' : null))
    socket.once('secureConnect', () => {
      socket.write(
        `GET http://outside.test:81/ HTTP/1.1\r\nHost: outside.test:81\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`,
      )
      socket.once('data', (chunk) => {
        text = chunk.toString('latin1', 0, 12)
        socket.pause()
        end(MEANING[text.slice(-3)] ?? 'other')
      })
    })
  })
}

let tried = 0
const work = async () => {
  while (tried < most && seen.refused + seen.closed + seen.other < 100) {
    tried += 1
    await ask()
  }
}
await Promise.all(Array.from({ length: 50 }, work))
process.stdout.write(JSON.stringify(seen), () => process.exit(0))
