import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { MeshError } from '@clawmesh/proto'
import { z } from 'zod'
import { askAdmin } from '../../../mesh-gateway/src/cli/ask-admin.ts'
import { drawLive } from '../../../mesh-gateway/src/cli/live-screen.ts'
import { plainTerminal } from '../../../mesh-gateway/src/process/terminal.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { runHere } from './run-here.ts'

describe('what is drawn on a screen', () => {
  it('is drawn again and again, also while the gateway gives no answer, until somebody ends it', async () => {
    const shown: string[] = []
    let looks = 0
    const enough = new Error('enough')
    const screen = (text: string) => {
      shown.push(text)
      if (shown.length === 3) throw enough
    }
    const draw = async () => {
      looks += 1
      if (looks === 2) throw new MeshError('MESH_GATEWAY_UNREACHABLE', 'it is away')
      return `look ${looks}`
    }
    const output = { result: () => assert.fail('it is for a screen') }
    await assert.rejects(drawLive(draw, { every: 0.01 }, { screen }, output), enough)
    assert.deepEqual(shown, ['look 1', 'it is away', 'look 3'])
  })

  it('is printed once where there is no screen, or where that is asked for, and then a fault is one', async () => {
    for (const screen of [null, () => assert.fail('once')]) {
      const printed: string[] = []
      const output = { result: (text: string) => void printed.push(text) }
      const options = screen === null ? { every: 1 } : { every: 1, once: true as const }
      await drawLive(async () => 'look', options, { screen }, output)
      assert.deepEqual(printed, ['look'])
      const fails = () => Promise.reject(new TypeError('no'))
      await assert.rejects(drawLive(fails, options, { screen }, output), TypeError)
    }
  })

  it('cannot be written over by what it shows', () => {
    const shown: string[] = []
    const never = () => assert.fail('unused')
    const { screen } = plainTerminal({
      ...{ env: {}, cwd: '/', print: never, say: never, writeError: never, exit: never },
      ...{ process, screen: (text: string) => void shown.push(text) },
    })
    screen?.('a\u001b[2J\u202eb\nc')
    assert.deepEqual(shown, ['a?[2J?b\nc'])
  })
})

describe('asking the admin port', () => {
  let answer: { readonly status: number; readonly body: string }
  let url: string
  const server = createServer((_request, response) => {
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
  })
  before(async () => {
    url = `http://127.0.0.1:${await listenOnFreePort(server)}`
  })
  after(() => closeServer(server))

  const ask = () => askAdmin(url, 'overview', z.object({ ready: z.boolean() }))
  const said = async (status: number, body: string) => {
    answer = { status, body }
    return await ask().then(
      () => assert.fail('it was refused'),
      ({ code, message, hint }: MeshError) => `${code} ${message} ${hint}`,
    )
  }

  it('gives the answer, and says why there is none', async () => {
    answer = { status: 200, body: '{"ready":true,"more":1}' }
    assert.deepEqual(await ask(), { ready: true })
    assert.match(await said(200, '{"ready":1}'), /UNREACHABLE .*not as this version does/)
    assert.match(await said(200, 'no json'), /UNREACHABLE .*not as this version does/)
    assert.match(await said(503, '{"error":"no process"}'), /UNREACHABLE .*no answer: no process/)
    assert.match(await said(404, 'there is /metrics'), /has no \/api\/ set admin\.console to on/)
    assert.match(
      await said(404, '{"error":"no such tree"}'),
      /AUDIT_UNREADABLE no such tree .*--audit/,
    )
  })

  it('reads no more than a gateway ever answers, however much is sent', async () => {
    const piece = Buffer.alloc(1_048_576, ' ')
    let sent = 0
    const endless = createServer((_request, response) => {
      const go = () => {
        while (!response.destroyed) {
          sent += piece.length
          if (!response.write(piece)) break
        }
      }
      response.on('drain', go)
      go()
    })
    const here = `http://127.0.0.1:${await listenOnFreePort(endless)}`
    const asked = askAdmin(here, 'overview', z.object({}))
    await assert.rejects(asked, (error) => {
      assert.ok(error instanceof MeshError)
      assert.equal(error.code, 'MESH_GATEWAY_UNREACHABLE')
      assert.match(error.message, /more than 33554432 bytes/)
      return true
    })
    assert.ok(sent < 67_108_864, `${sent} bytes`)
    await closeServer(endless)
  })

  it('waits no longer than it says, also for the end of an answer', async () => {
    const slow = createServer((_request, response) => {
      response.writeHead(200).write('{"ready":')
    })
    const here = `http://127.0.0.1:${await listenOnFreePort(slow)}`
    const asked = askAdmin(here, 'overview', z.object({}), 100)
    await assert.rejects(asked, /gives no answer: it took more than 0\.1 s/)
    slow.closeAllConnections()
    await closeServer(slow)
  })

  it('ends with 1 where nobody listens, says where it has asked, and with 2 for a wrong option', async () => {
    const gone = createServer()
    const nobody = `http://127.0.0.1:${await listenOnFreePort(gone)}`
    await closeServer(gone)
    const trees = await runHere('/', ['trees', '--live', '--admin', nobody])
    assert.equal(trees.code, 1)
    assert.ok(trees.stderr.includes(`${nobody} gives no answer: ECONNREFUSED`), trees.stderr)
    const top = await runHere('/', ['top', '--admin', nobody])
    assert.equal(top.code, 1)
    assert.match(top.stdout, /gives no answer: ECONNREFUSED/)
    assert.equal((await runHere('/', ['top', '--every', '0.1'])).code, 2)
  })
})
