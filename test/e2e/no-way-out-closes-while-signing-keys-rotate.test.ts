/** A hundred requests a second through the real process, with tokens of every age, while its signing keys rotate again and again. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../support/grpcurl.ts'
import { type Mesh, startMesh } from '../support/mesh.ts'
import { waitFor } from '../support/wait-for.ts'

const ROTATIONS = 4
const COMMAND = fileURLToPath(new URL('../../node_modules/.bin/mesh-gateway', import.meta.url))

describe('no way out closes while signing keys rotate', function () {
  this.timeout(60_000)
  let mesh: Mesh
  let key = ''
  let port: number
  const server = createServer((_, response) => response.end('ok'))

  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    port = address.port
    mesh = await startMesh({
      policy: {
        _global: { egress: { ports: [port], allowCidrs: ['127.0.0.0/8'] } },
        acme: { egress: { allow: [`127.0.0.1:${port}`] } },
      },
      config: { serviceAccounts: { file: 'accounts.json' } },
      async prepare({ dir }) {
        const made = await run(COMMAND, [
          ...['service-account', 'create', '--tenant', 'acme', '--agent-id', 'bot-01'],
          ...['--service-accounts-file', join(dir, 'accounts.json')],
        ])
        assert.equal(made.code, 0, made.stderr)
        key = made.stdout.trim()
      },
    })
  })
  after(async () => {
    server.closeAllConnections()
    server.close()
    await mesh.close()
  })

  async function issue(): Promise<string> {
    const response = await fetch(`http://${mesh.gateway.egress}/v1/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
    })
    const answer: unknown = await response.json()
    assert.ok(typeof answer === 'object' && answer !== null && 'access_token' in answer)
    return String(answer.access_token)
  }

  const kidOf = (token: string) =>
    String(JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid)

  async function ask(token: string): Promise<string> {
    const [host, at] = mesh.gateway.egress.split(':')
    const socket = connect(Number(at), host)
    socket.on('error', () => {})
    socket.write(
      `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nProxy-Authorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
    )
    let answer = ''
    socket.on('data', (data) => {
      answer += data
    })
    await once(socket, 'close')
    return answer.slice(0, 12)
  }

  it(`through ${ROTATIONS} rotations none of the requests fails, whichever key signed their token`, async () => {
    const tokens = [await issue()]
    const answers: Promise<string>[] = []
    let running = true
    const load = (async () => {
      for (let began = performance.now(), n = 0; running; n += 1) {
        answers.push(ask(tokens[n % tokens.length] ?? ''))
        // ten milliseconds each, by the clock: what took longer is caught up with
        await sleep(Math.max(0, began + (n + 1) * 10 - performance.now()))
      }
    })()
    const kids = new Set(tokens.map(kidOf))
    for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
      const rotated = await run(COMMAND, ['keys', 'rotate', '--config', mesh.gateway.configFile])
      assert.equal(rotated.code, 0, rotated.stderr)
      // signed by what was next before: the gateway and whoever has cached its keys know it already
      await waitFor('a token by another key', async () => {
        const token = await issue()
        if (kids.has(kidOf(token))) return false
        kids.add(kidOf(token))
        tokens.push(token)
        return true
      })
    }
    await sleep(500)
    running = false
    await load
    const statuses = new Map<string, number>()
    for (const answer of await Promise.all(answers))
      statuses.set(answer, (statuses.get(answer) ?? 0) + 1)
    assert.deepEqual([...statuses.keys()], ['HTTP/1.1 200'])
    assert.ok(answers.length > 100, `${answers.length} requests`)
    assert.equal(kids.size, ROTATIONS + 1)

    // what is shown to verifiers has every key that a live token may be signed by
    const jwks: unknown = await (
      await fetch(`http://${mesh.gateway.egress}/.well-known/jwks.json`)
    ).json()
    assert.ok(typeof jwks === 'object' && jwks !== null && 'keys' in jwks)
    const shown = new Set(JSON.stringify(jwks.keys).match(/"kid":"[^"]+"/g))
    for (const kid of kids) assert.ok(shown.has(`"kid":"${kid}"`), kid)

    // and a key that is retired is no good at once, though its token was remembered
    const [oldest = ''] = tokens
    const retired = await run(COMMAND, [
      ...['keys', 'retire', kidOf(oldest), '--config', mesh.gateway.configFile],
    ])
    assert.equal(retired.code, 0, retired.stderr)
    await waitFor('its token to be refused', async () => (await ask(oldest)) === 'HTTP/1.1 403')
    assert.equal(await ask(tokens.at(-1) ?? ''), 'HTTP/1.1 200')
  })
})
