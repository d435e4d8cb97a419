/** What OpenClaw is made of, unmodified, with a proxy URL that has the secret of a relay: undici, node:https, WebSockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent as HttpsAgent, get as httpsGet } from 'node:https'
import { text } from 'node:stream/consumers'
import { fetch, ProxyAgent, WebSocket } from 'undici'
import { WebSocketServer } from 'ws'
import {
  type ClientWorld,
  clientWorld,
  HOST,
  insistOnThePort,
} from '../../../mesh-gateway/egress/client-world.ts'
import { setUp } from '../../../mesh-gateway/egress/setup.ts'
import { fixedTokens, type RelayWorld, startRelay } from './relay-world.ts'

describe('a relay serves', () => {
  const setup = setUp()
  let world: ClientWorld
  let relay: RelayWorld
  let sockets: WebSocketServer
  const proxy = () => `http://openclaw:${relay.secret}@127.0.0.1:${relay.port}`

  before(async () => {
    world = await clientWorld(setup, (request, response) => request.pipe(response))
    sockets = new WebSocketServer({ server: world.server })
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))))
    relay = await startRelay({ gateway: world.egress.number, tokens: fixedTokens(world.token) })
  })
  after(async () => {
    sockets.close()
    await relay.close()
    await world.close()
  })
  insistOnThePort(() => world)

  const dispatcher = () => new ProxyAgent({ uri: proxy(), requestTls: { ca: world.roots } })

  it('fetch of undici over https, many requests at once and one after another', async () => {
    const agent = dispatcher()
    const post = async (body: string) => {
      const response = await fetch(`https://${HOST}:${world.secure}/`, {
        method: 'POST',
        body,
        dispatcher: agent,
      })
      return response.text()
    }
    assert.deepEqual(await Promise.all(['one', 'two', 'six'].map(post)), ['one', 'two', 'six'])
    assert.equal(await post('more'), 'more')
    await agent.close()
  })

  it('fetch of undici over http, in absolute form', async () => {
    const agent = new ProxyAgent({ uri: proxy(), proxyTunnel: false })
    for (const path of ['/a', '/b']) {
      const response = await fetch(`http://${HOST}:${world.plain}${path}`, { dispatcher: agent })
      assert.equal(await response.text(), path)
    }
    await agent.close()
  })

  it('node:https by the environment of a proxy', async () => {
    const agent = new HttpsAgent({ proxyEnv: { HTTPS_PROXY: proxy() }, ca: world.roots })
    const request = httpsGet({ host: HOST, port: world.secure, agent })
    const [response] = await once(request, 'response')
    assert.equal(response.statusCode, 200)
    assert.equal(await text(response), '')
    agent.destroy()
  })

  it('WebSockets', async () => {
    const agent = dispatcher()
    const socket = new WebSocket(`wss://${HOST}:${world.secure}/`, { dispatcher: agent })
    const opened = Promise.withResolvers<void>()
    socket.addEventListener('open', () => opened.resolve())
    socket.addEventListener('error', ({ error }) => opened.reject(error))
    await opened.promise
    const answer = new Promise((resolve) =>
      socket.addEventListener('message', ({ data }) => resolve(data)),
    )
    socket.send('over the relay')
    assert.equal(await answer, 'over the relay')
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve))
    socket.close()
    await closed
    await agent.destroy()
  })
})
