/** A peer that is killed while both sides write: HTTP/2 of Node does not notice it, and our own look at the connection does. */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { checkIsGateway, clientTlsOptions, createGonePeerWatch } from '@clawmesh/agent-sdk/mesh'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import { waitFor } from '../../support/wait-for.ts'
import { readNothingUntil } from './gone-peers/read-nothing.ts'

const SERVER = fileURLToPath(new URL('gone-peers/killed-server.ts', import.meta.url))
/** More than the server sends while nothing is read. */
const WINDOW_BYTES = 1024 * 1024
const CALLER = fileURLToPath(new URL('gone-peers/caller.ts', import.meta.url))

describe('a peer that is killed while both sides write', () => {
  let ca: TestCa
  let agent = ''
  let server: ChildProcess
  let port = 0
  let marker = ''
  before(async () => {
    ca = await makeTestCa()
    agent = await ca.agentDir({ tenant: 'acme', agent: 'caller' })
  })
  after(() => ca.close())
  beforeEach(async function () {
    marker = join(ca.dir, `ends-${this.currentTest?.title.length}`)
    server = fork(SERVER, [await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] }), marker])
    const [said] = await once(server, 'message')
    port = Number(said)
  })
  afterEach(() => void server.kill('SIGKILL'))

  it('is not noticed by Node, and its connection is ended by the watch', async () => {
    const snapshot = await ca.load(agent)
    const socket = connect({
      ...clientTlsOptions(snapshot, ca.spiffe, checkIsGateway),
      ...{ host: '127.0.0.1', port },
    })
    await once(socket, 'secureConnect')
    const session = connectHttp2('https://gateway', {
      createConnection: () => socket,
      settings: { initialWindowSize: WINDOW_BYTES },
    })
    session.setLocalWindowSize(WINDOW_BYTES)
    const failed = once(session, 'error')
    const stream = session.request({ ':path': '/', ':method': 'POST' })
    stream.on('error', () => {}).resume()
    await once(stream, 'response')
    server.send('go')
    await new Promise((resolve) => setImmediate(resolve))
    readNothingUntil(marker)
    const handle: unknown = Reflect.get(socket, '_handle')
    const stuck = () =>
      typeof handle === 'object' && handle !== null && Reflect.get(handle, 'writeQueueSize') > 0
    await waitFor('the write that never ends', stuck)
    assert.equal(socket.remoteAddress, undefined, 'the kernel knows no peer any more')
    assert.ok(!session.destroyed && !socket.destroyed && !stream.destroyed)
    createGonePeerWatch().watch(socket)
    const [error] = await failed
    assert.equal(error.code, 'ECONNRESET')
    assert.ok(session.destroyed)
  })

  it('ends the call of a script that waits for it, which does not end before', async () => {
    const caller = fork(CALLER, [`${port}`, agent, marker], { silent: true })
    caller.once('message', () => server.send('go'))
    const { stdout, stderr } = caller
    assert.ok(stdout !== null && stderr !== null)
    const [said, faults, [code]] = await Promise.all([
      text(stdout),
      text(stderr),
      once(caller, 'exit'),
    ])
    // 14 UNAVAILABLE: the delegation is resumed on another connection
    assert.deepEqual([said, code], ['14\n', 0], faults)
  })
})
