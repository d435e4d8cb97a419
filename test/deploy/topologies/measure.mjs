// Runs in a container, or on the machine: measure.mjs { way, perSecond, atOnce, warm, ms }. Warms the way, then measures for so
// long: at a fixed rate, each counted from when it was due, or with so many at once, each followed by the next.
// Prints { done, failed, perSecond, p50Ms, p99Ms }.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'

const { way, perSecond, atOnce, warm, ms } = JSON.parse(process.argv[1])
const identity = (dir) => ({
  ca: readFileSync(`${dir}/ca.crt`),
  cert: readFileSync(`${dir}/tls.crt`),
  key: readFileSync(`${dir}/tls.key`),
})
const ask = way.plane === 'egress' ? requests() : await calls()

function requests() {
  const { request, Agent } = way.ca === undefined ? http : https
  const options = {
    agent: new Agent({ keepAlive: true, maxSockets: 64 }),
    host: way.host,
    port: way.port,
    path: way.path,
    headers: { host: 'outside.test' },
    ...(way.ca === undefined ? {} : { ca: readFileSync(way.ca), servername: way.serverName }),
  }
  if (way.token !== undefined) options.headers['proxy-authorization'] = `Bearer ${way.token}`
  return (done) =>
    request(options, (response) => {
      response.resume().on('end', () => done(response.statusCode === 200))
    })
      .on('error', () => done(false))
      .end()
}

async function calls() {
  const { host, port, serverName: servername } = way
  const session = http2.connect(`https://${host}:${port}`, {
    ...identity(way.identity),
    servername,
    minVersion: 'TLSv1.3',
  })
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject))
  const frame = Buffer.alloc(5 + 64)
  frame.writeUInt32BE(64, 1)
  const headers = {
    ':method': 'POST',
    ':path': '/bench.Echo/Call',
    ':authority': way.authority,
    'content-type': 'application/grpc',
    te: 'trailers',
  }
  return (done) => {
    const stream = session.request(headers)
    let status
    stream.on('response', (head) => (status = head['grpc-status']))
    stream.on('trailers', (trailers) => (status = trailers['grpc-status']))
    stream.on('error', () => {})
    stream.resume().on('close', () => done(status === '0'))
    stream.end(frame)
  }
}

/** So many at once, each followed by the next, until `enough`. */
function closedLoop(enough, count) {
  return Promise.all(
    Array.from({ length: atOnce }, () => {
      return new Promise((resolve) => {
        const next = () => {
          if (enough()) return resolve()
          const beganMs = performance.now()
          ask((ok) => {
            count(ok, performance.now() - beganMs)
            next()
          })
        }
        next()
      })
    }),
  )
}

async function openLoop(count) {
  const beganMs = performance.now()
  const most = Math.floor((perSecond * ms) / 1000)
  let [sent, ended] = [0, 0]
  const { promise, resolve } = Promise.withResolvers()
  const timer = setInterval(() => {
    while (sent < most && sent < ((performance.now() - beganMs) * perSecond) / 1000) {
      const dueMs = beganMs + (sent * 1000) / perSecond
      sent += 1
      ask((ok) => {
        count(ok, performance.now() - dueMs)
        ended += 1
        if (ended === most) resolve()
      })
    }
  }, 1)
  await promise
  clearInterval(timer)
}

let warmed = 0
await closedLoop(
  () => warmed >= warm,
  () => (warmed += 1),
)
const took = []
let failed = 0
const count = (ok, tookMs) => {
  if (ok) took.push(tookMs)
  else failed += 1
}
const beganMs = performance.now()
if (perSecond === null) await closedLoop(() => performance.now() - beganMs > ms, count)
else await openLoop(count)
const seconds = (performance.now() - beganMs) / 1000
took.sort((a, b) => a - b)
const quantile = (q) => took[Math.min(took.length - 1, Math.floor(took.length * q))] ?? null
const answer = {
  ...{ done: took.length, failed, perSecond: took.length / seconds },
  ...{ p50Ms: quantile(0.5), p99Ms: quantile(0.99) },
}
process.stdout.write(JSON.stringify(answer), () => process.exit(0))
