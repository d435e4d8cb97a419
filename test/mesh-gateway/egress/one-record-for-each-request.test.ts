/**
 * Thousands of random sequences of requests, in every form, cut off anywhere and by any means, against destinations that do
 * whatever they like: each request that was judged is told of once, and nothing is left behind.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { createLimits } from '../../../mesh-gateway/src/limits/create-limits.ts'
import type { Limits } from '../../../mesh-gateway/src/limits/limits.ts'
import { openResources } from '../../support/closes-everything.ts'
import { waitFor } from '../../support/wait-for.ts'
import { rawClient, startUpstream } from './fixture.ts'
import { basic, connectTo, SWITCH, setUp, UPGRADE } from './setup.ts'

const TUNNELS = 2
const KINDS = [
  'absolute',
  'relay',
  'connect',
  'websocket',
  'body',
  'chunks',
  'badChunks',
  'expect',
  'tooLarge',
  'refused',
  'noCredential',
  'unresolved',
  'unreachable',
  'malformed',
  'health',
  'token',
] as const
const PATHS = [
  '/ok',
  '/chunks',
  '/close',
  '/hang',
  '/reset',
  '/half',
  '/garbage',
  '/early',
  '/interim',
] as const

interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly path: (typeof PATHS)[number]
}

interface Scenario {
  readonly steps: readonly Step[]
  /** Where what is sent is cut, in thousandths; what lies behind 1000 is sent whole. */
  readonly cut: number
  readonly pieces: number
  readonly end: 'fin' | 'reset' | 'destroy' | 'wait' | 'readAndReset' | 'neverRead'
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  steps: fc.array(fc.record({ kind: fc.constantFrom(...KINDS), path: fc.constantFrom(...PATHS) }), {
    minLength: 1,
    maxLength: 5,
  }),
  cut: fc.nat(1600),
  pieces: fc.integer({ min: 1, max: 4 }),
  end: fc.constantFrom('fin', 'reset', 'destroy', 'wait', 'readAndReset', 'neverRead'),
})

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** A destination that does what the path says. */
function serve(socket: Socket): void {
  let got = ''
  socket.on('end', () => socket.end())
  socket.on('data', (data: Buffer) => {
    got += data.toString('latin1')
    const end = got.indexOf('\r\n\r\n')
    if (end === -1 || !/^[A-Z]+ \//.test(got)) return
    const head = got.slice(0, end)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    const chunked = /\r\ntransfer-encoding:/i.test(head)
    const whole = chunked ? got.endsWith('0\r\n\r\n') : got.length >= end + 4 + length
    if (/\r\nexpect:/i.test(head)) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    const path = /^[A-Z]+ (\S+)/.exec(head)?.[1]
    if (path === '/ws') {
      got = ''
      socket.write(`${SWITCH}hi`)
      return
    }
    if (path === '/early') {
      got = ''
      socket.write('HTTP/1.1 413 Enough\r\nContent-Length: 2\r\n\r\nno')
      return
    }
    if (!whole) return
    got = ''
    if (path === '/ok') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    else if (path === '/chunks')
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')
    else if (path === '/close') socket.end(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(300_000)}`)
    else if (path === '/reset') socket.resetAndDestroy()
    else if (path === '/half') socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    else if (path === '/garbage') socket.write('garbage\r\n\r\n')
    else if (path === '/interim')
      socket.write('HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
}

describe('each request has one record', () => {
  const setup = setUp()
  afterEach(setup.close)

  it('whatever is sent, cut off, reset, pipelined, refused or upgraded, and no socket, limit or count is left', async function () {
    this.timeout(240_000)
    const before = openResources()
    const upstream = await setup.upstream(serve)
    const dead = await startUpstream(() => {})
    await dead.close()
    const host = `api.test:${upstream.port}`
    const counted = createLimits()
    let judged = 0
    let inside = 0
    const limits: Limits = {
      take(...args) {
        judged += 1
        return counted.take(...args)
      },
      enter(key, max) {
        const leave = counted.enter(key, max)
        if (leave === null) return null
        inside += 1
        return () => {
          inside -= 1
          leave()
        }
      },
    }
    const failures: unknown[] = []
    const egress = await setup.egress(upstream.port, {
      names: { 'api.test': ['127.0.0.1'] },
      egress: {
        allow: [{ host, scheme: 'http' }, `api.test:${dead.port}`, 'gone.test'],
        limits: { requestsPerMinute: 10_000_000, concurrentTunnels: TUNNELS, maxBodyBytes: 100 },
      },
      global: { ports: [80, 443, upstream.port, dead.port] },
      port: {
        limits,
        log: { ...SILENT, error: (facts) => void failures.push(facts) },
        issueForAccountKey: () => Promise.reject(new Error('never asked for')),
        timeouts: {
          headerMs: 200,
          keepAliveMs: 100,
          helloMs: 150,
          idleMs: 250,
          answerMs: 250,
          upstreamIdleMs: 40,
        },
      },
    })
    const token = await egress.token({
      destinations: [host, `api.test:${dead.port}`, 'gone.test', 'evil.test'],
    })
    const auth = basic(token)
    let ids = 0
    /** What is sent for a step. The answer of /health alone has no record. */
    const textOf = ({ kind, path }: Step): string => {
      ids += 1
      const fields = `${auth}X-Request-Id: r-${ids}\r\n`
      const to = (line: string, more = '', at = host) =>
        `${line} HTTP/1.1\r\nHost: ${at}\r\n${fields}${more}\r\n`
      switch (kind) {
        case 'absolute':
          return to(`GET http://${host}${path}`)
        case 'relay':
          return to(`GET ${path}`)
        case 'connect':
          return `${to(`CONNECT ${host}`)}GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
        case 'websocket':
          return `${to('GET /ws', UPGRADE)}frame`
        case 'body':
          return `${to(`POST http://${host}${path}`, 'Content-Length: 5\r\n')}hello`
        case 'chunks':
          return `${to(`POST ${path}`, 'Transfer-Encoding: chunked\r\n')}5\r\nhello\r\n0\r\n\r\n`
        case 'badChunks':
          return `${to(`POST ${path}`, 'Transfer-Encoding: chunked\r\n')}5\r\nhelloworld\r\n0\r\n\r\n`
        case 'expect':
          return `${to(`POST ${path}`, 'Expect: 100-continue\r\nContent-Length: 5\r\n')}hello`
        case 'tooLarge':
          return `${to(`POST ${path}`, 'Transfer-Encoding: chunked\r\n')}80\r\n${'x'.repeat(128)}\r\n0\r\n\r\n`
        case 'refused':
          return to('GET http://evil.test/', '', 'evil.test')
        case 'noCredential':
          return `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nX-Request-Id: r-${ids}\r\n\r\n`
        case 'unresolved':
          return to('CONNECT gone.test:80', '', 'gone.test:80')
        case 'unreachable':
          return to(`CONNECT api.test:${dead.port}`, '', `api.test:${dead.port}`)
        case 'malformed':
          return to(`GET http://${host}/`, 'Host: evil.test\r\n')
        case 'health':
          return `GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: h-${ids}\r\n\r\n`
        case 'token':
          return `POST /v1/token HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r-${ids}\r\nContent-Length: 2\r\n\r\n{}`
      }
    }
    const answered: string[] = []
    const play = async ({ steps, cut, pieces, end }: Scenario) => {
      const text = steps.map(textOf).join('')
      const sent = text.slice(0, Math.ceil((text.length * Math.min(cut, 1000)) / 1000))
      const socket = connect({ host: '127.0.0.1', port: egress.number, allowHalfOpen: true })
      const closed = new Promise((resolve) => socket.on('close', resolve))
      socket.on('error', () => {})
      let got = ''
      if (end !== 'neverRead') socket.on('data', (data) => (got += data.toString('latin1')))
      // what the gateway ends, the client ends too
      socket.on('end', () => socket.end())
      for (let piece = 0; piece < pieces && !socket.destroyed; piece += 1) {
        const size = Math.ceil(sent.length / pieces)
        socket.write(sent.slice(piece * size, (piece + 1) * size), 'latin1')
        await new Promise(setImmediate)
      }
      if (end === 'readAndReset') await Promise.race([once(socket, 'data').catch(() => {}), closed])
      if (end === 'fin') socket.end()
      else if (end === 'destroy') socket.destroy()
      else if (end === 'neverRead') {
        await sleep(300)
        socket.destroy()
      } else if (end !== 'wait') socket.resetAndDestroy()
      await closed
      for (const [, id] of got.matchAll(/^x-request-id: (r-\d+)\r$/gm)) if (id) answered.push(id)
    }
    let connections = 0
    await fc.assert(
      fc.asyncProperty(fc.array(scenario, { minLength: 50, maxLength: 60 }), async (scenarios) => {
        connections += scenarios.length
        await Promise.all(scenarios.map(play))
      }),
      { numRuns: 32, endOnFailure: true },
    )
    assert.ok(connections >= 1600 && ids > 3000, `${connections} connections, ${ids} requests`)

    // nothing is open any more, and nobody is inside a limit
    await waitFor('all connections to the destination to end', () =>
      upstream.connections.every((socket) => socket.destroyed),
    )
    await waitFor('every socket to be gone', () => {
      const now = openResources().get('TCPSocketWrap') ?? 0
      return now <= (before.get('TCPSocketWrap') ?? 0)
    })
    assert.equal(inside, 0)
    const metrics = await egress.metrics()
    assert.match(metrics, /^clawmesh_active\{plane="egress"\} 0$/m)
    assert.deepEqual(failures, [])

    // one record each: none twice, none missing, and the metrics count the same
    const told = new Map<string, number>()
    for (const { request_id } of egress.records)
      told.set(request_id, (told.get(request_id) ?? 0) + 1)
    assert.deepEqual(
      [...told].filter(([, count]) => count !== 1),
      [],
    )
    assert.deepEqual(
      [...new Set(answered)].filter((id) => !told.has(id)),
      [],
    )
    assert.ok(answered.length > 200, `${answered.length} answers were read`)
    assert.equal(
      [...told.keys()].some((id) => id.startsWith('h-')),
      false,
    )
    // each request with a good token came to the limits once, whatever policy said, and to its record once
    const passed = egress.records.filter(({ token_jti }) => token_jti !== null)
    assert.equal(passed.length, judged)
    const decisions = [...metrics.matchAll(/^clawmesh_decisions_total\{[^}]*\} (\d+)$/gm)]
    assert.equal(
      decisions.reduce((sum, [, count]) => sum + Number(count), 0),
      egress.records.length,
    )
    const reasons = new Set(egress.records.map((record) => record.reason))
    assert.equal(reasons.has('MESH_GATEWAY_INTERNAL'), false)
    // the mixture was one: each of these came about
    for (const reason of [
      null,
      'MESH_CALL_CANCELED',
      'MESH_EGRESS_LOST',
      'MESH_EGRESS_TIMEOUT',
      'MESH_EGRESS_SLOW',
      'MESH_EGRESS_MALFORMED',
      'MESH_EGRESS_UNRESOLVED',
      'MESH_EGRESS_UNREACHABLE',
      'MESH_EGRESS_UPSTREAM',
      'MESH_LIMIT_CONCURRENCY',
      'MESH_LIMIT_SIZE',
      'MESH_POLICY_NOT_ALLOWED',
      'MESH_TOKEN_MISSING',
      'MESH_ACCOUNT_KEY_INVALID',
    ])
      assert.ok(reasons.has(reason), String(reason))

    const tunnels = await Promise.all(
      Array.from({ length: TUNNELS }, async () => {
        const client = await rawClient(egress.number)
        client.send(connectTo(upstream.port, auth))
        await client.until((text) => text.includes('200 Connection established'))
        return client
      }),
    )
    for (const client of tunnels) client.socket.destroy()
  })
})
