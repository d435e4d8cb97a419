// Runs inside of a container, with nothing but Node: probe.mjs JSON-OF-TARGETS. Prints what became of each, as JSON.
import { createSocket } from 'node:dgram'
import { lookup, Resolver } from 'node:dns/promises'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'

const WITHIN_MS = 2000

function tcp({ host, port }) {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (what) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(what)
    }
    const timer = setTimeout(() => end('silence'), WITHIN_MS)
    socket.on('connect', () => end('open')).on('error', ({ code }) => end(code))
  })
}

// a question for DNS, since that is what answers
function udp({ host, port }) {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const end = (what) => {
      clearTimeout(timer)
      socket.close()
      resolve(what)
    }
    const timer = setTimeout(() => end('silence'), WITHIN_MS)
    socket.on('message', () => end('open')).on('error', ({ code }) => end(code))
    const question = Buffer.from('000101000001000000000000046c65616b04746573740000010001', 'hex')
    socket.send(question, port, host, (error) => error && end(error.code))
  })
}

async function dns({ name, server }) {
  try {
    if (server === undefined) return (await lookup(name)).address
    const resolver = new Resolver({ timeout: WITHIN_MS, tries: 1 })
    resolver.setServers([server])
    return (await resolver.resolve4(name))[0]
  } catch ({ code }) {
    return code
  }
}

// the ports of one address that answer
async function scan({ host, from, to }) {
  const open = []
  let next = from
  const work = async () => {
    for (let port = next++; port <= to; port = next++)
      if ((await tcp({ host, port })) === 'open') open.push(port)
  }
  await Promise.all(Array.from({ length: 200 }, work))
  return open.sort((a, b) => a - b)
}

const addresses = () =>
  Object.values(networkInterfaces())
    .flat()
    .filter(({ internal }) => !internal)
    .map(({ address }) => address)

const kinds = { tcp, udp, dns, scan, addresses }
const targets = JSON.parse(process.argv[1] ?? '{}')
const found = await Promise.all(
  Object.entries(targets).map(async ([name, target]) => [name, await kinds[target.kind](target)]),
)
process.stdout.write(JSON.stringify(Object.fromEntries(found)))
