/** The end of sessions of MCP over HTTP, which nobody waits for. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { Log } from '@clawmesh/agent-sdk'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { createHttpSessions } from '../../../mesh-agent/src/mcp/http-sessions.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { waitFor } from '../../support/wait-for.ts'

const NO_MESSAGE = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })

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
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
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
