/** Sessions of MCP over HTTP: how many there are, and how they end. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { mock } from 'node:test'
import { type Log, silentLog } from '@clawmesh/agent-sdk'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { createHttpSessions } from '../../../mesh-agent/src/mcp/http-sessions.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { waitFor } from '../../support/wait-for.ts'

const NO_MESSAGE = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })

const INITIALIZE = JSON.stringify({
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: {
    ...{ protocolVersion: '2025-06-18', capabilities: {} },
    clientInfo: { name: 'raw', version: '1' },
  },
})
const HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

describe('a session of MCP that does not end well', () => {
  it('is told in the log, and ends no process', async () => {
    const said: string[] = []
    const say = (_fields: object, message: string) => void said.push(message)
    const log: Log = { debug: () => {}, info: say, warn: say, error: say }
    const sessions = createHttpSessions({
      session: {
        host: { get: () => assert.fail('no tool is called'), close: async () => {} },
        ...{ maxWaitMs: 1_000, workspaceDir: undefined, cwd: null, log },
      },
      ...{ maxSessions: 5, idleMs: 60_000 },
    })
    const server = createServer((request, response) => void sessions.handle(request, response))
    const port = await listenOnFreePort(server)
    const unhandled: unknown[] = []
    const note = (reason: unknown) => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    const { close } = Server.prototype
    Server.prototype.close = async () => {
      throw new Error('the transport is gone')
    }
    try {
      // it begins no session, so what was made for it is ended at once
      const { status } = await fetch(`http://127.0.0.1:${port}/mcp`, {
        method: 'POST',
        headers: HEADERS,
        body: NO_MESSAGE,
      })
      assert.equal(status, 400)
      await waitFor('the line of the log', () => said.length > 0)
      // where node tells of rejections
      await new Promise((resolve) => setImmediate(resolve))
      assert.match(said.join(), /an MCP session did not end well/)
      assert.deepEqual([unhandled, sessions.size], [[], 0])
    } finally {
      Server.prototype.close = close
      process.off('unhandledRejection', note)
      await sessions.close()
      await closeServer(server)
    }
  })
})

describe('many sessions of MCP over HTTP', () => {
  it('are bounded: a new one takes the place of the one that was idle for longest, and idle ones end', async () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { now } = performance
    let laterMs = 0
    mock.method(performance, 'now', () => now.call(performance) + laterMs)
    const sessions = createHttpSessions({
      session: {
        host: { get: () => assert.fail('no tool is called'), close: async () => {} },
        ...{ maxWaitMs: 1_000, workspaceDir: undefined, cwd: null, log: silentLog },
      },
      ...{ maxSessions: 100, idleMs: 3_600_000 },
    })
    const server = createServer((request, response) => void sessions.handle(request, response))
    const port = await listenOnFreePort(server)
    const post = async (body: string, id: string | null = null) => {
      const response = await fetch(`http://127.0.0.1:${port}/mcp`, {
        method: 'POST',
        headers: { ...HEADERS, ...(id === null ? {} : { 'mcp-session-id': id }) },
        body,
      })
      await response.text()
      return { status: response.status, id: response.headers.get('mcp-session-id') }
    }
    try {
      const begun = []
      for (let count = 0; count < 100; count += 1) begun.push(await post(INITIALIZE))
      assert.equal(sessions.size, 100)
      // all of them were used a moment ago
      assert.equal((await post(INITIALIZE)).status, 503)
      laterMs = 61_000
      const [first, second] = begun
      assert.equal((await post(NO_MESSAGE, first?.id)).status, 202)
      const next = await post(INITIALIZE)
      assert.equal(next.status, 200)
      assert.equal(sessions.size, 100)
      assert.equal((await post(NO_MESSAGE, second?.id)).status, 404)
      assert.equal((await post(NO_MESSAGE, first?.id)).status, 202)
      laterMs += 3_600_000
      assert.equal((await post(NO_MESSAGE, next.id)).status, 202)
      mock.timers.tick(30_000)
      assert.equal(sessions.size, 1)
      assert.equal((await post(NO_MESSAGE, first?.id)).status, 404)
    } finally {
      mock.timers.reset()
      mock.restoreAll()
      await sessions.close()
      await closeServer(server)
    }
  })
})
