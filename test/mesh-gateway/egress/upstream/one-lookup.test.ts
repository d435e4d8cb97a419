/** A name server that lies: what it said once is judged and dialled, and what it says later is another question. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { type Answer, decode, encode } from 'dns-packet'
import { createResolver } from '../../../../mesh-gateway/src/resolve/create-resolver.ts'
import { refusalOf, sendRaw } from '../fixture.ts'
import { basic, setUp } from '../setup.ts'

const FORMS = ['connect', 'absolute', 'relay'] as const
const PUBLIC = '127.0.0.2'

describe('a name server that lies', () => {
  const setup = setUp()
  afterEach(setup.close)

  /** Answers the n-th question for each kind of record by what `answer` says. */
  async function liar(answer: (type: string, n: number) => readonly Answer[]) {
    const questions: string[] = []
    const socket = createSocket('udp4')
    socket.on('message', (message, peer) => {
      const { id, questions: asked = [] } = decode(message)
      const [question] = asked
      assert.ok(question)
      const n = questions.filter((one) => one.startsWith(`${question.type} `)).length
      questions.push(`${question.type} ${question.name}`)
      const reply = encode({
        type: 'response',
        id,
        questions: asked,
        answers: [...answer(question.type, n)],
      })
      socket.send(reply, peer.port, peer.address)
    })
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const resolver = createResolver({ servers: [`127.0.0.1:${socket.address().port}`] })
    setup.closing.push(async () => {
      resolver.close()
      socket.close()
      await once(socket, 'close')
    })
    return { questions, resolver }
  }

  /** The same port on the address that is allowed, and on one that is not. */
  async function twoServers() {
    const reached = { good: 0, trap: 0 }
    const good = listening(() => {
      reached.good += 1
    })
    good.listen(0, PUBLIC)
    await once(good, 'listening')
    const address = good.address()
    assert.ok(typeof address === 'object' && address !== null)
    const trap = listening(() => {
      reached.trap += 1
    })
    trap.listen(address.port, '127.0.0.1')
    await once(trap, 'listening')
    for (const server of [good, trap])
      setup.closing.push(async () => {
        server.close()
        await once(server, 'close')
      })
    return { reached, port: address.port }
  }

  const head = (form: (typeof FORMS)[number], host: string, auth: string) =>
    form === 'connect'
      ? `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${auth}\r\nGET / HTTP/1.1\r\n\r\n`
      : `GET ${form === 'absolute' ? `http://${host}` : ''}/ HTTP/1.1\r\nHost: ${host}\r\n${auth}Connection: close\r\n\r\n`

  for (const form of FORMS)
    it(`in ${form} form: an answer is asked for once and dialled; the next, of loopback, is refused`, async () => {
      const { reached, port } = await twoServers()
      const { questions, resolver } = await liar((type, n) =>
        type === 'A'
          ? [{ type: 'A', name: 'api.test', ttl: 0, data: n === 0 ? PUBLIC : '127.0.0.1' }]
          : [],
      )
      const host = `api.test:${port}`
      const egress = await setup.egress(port, {
        egress: { allow: [{ host, scheme: 'http' }] },
        global: { allowCidrs: [`${PUBLIC}/32`] },
        port: { resolver },
      })
      const auth = basic(await egress.token({ destinations: [host] }))
      assert.match(await sendRaw(egress.number, head(form, host, auth)), /^HTTP\/1\.1 200 /)
      assert.deepEqual(questions.toSorted(), ['A api.test', 'AAAA api.test'])
      assert.equal((await egress.record(0)).destination_ip, PUBLIC)
      for (let again = 0; again < 3; again += 1) {
        const answer = await sendRaw(egress.number, head(form, host, auth))
        assert.match(answer, /^HTTP\/1\.1 403 /)
        const { code, reason } = refusalOf(answer)
        assert.equal(code, 'MESH_EGRESS_ADDRESS_REFUSED')
        assert.match(reason, /resolves to 127\.0\.0\.1/)
      }
      assert.deepEqual(reached, { good: 1, trap: 0 })
      assert.equal(questions.length, 8)
    })

  for (const [what, answers] of [
    [
      'leads by a CNAME to a private address',
      [
        { type: 'CNAME', name: 'api.test', ttl: 5, data: 'inside.test' },
        { type: 'A', name: 'inside.test', ttl: 5, data: '10.0.0.1' },
      ],
    ],
    [
      'leads by a CNAME to the metadata service',
      [
        { type: 'CNAME', name: 'api.test', ttl: 5, data: 'metadata.google.internal' },
        { type: 'A', name: 'metadata.google.internal', ttl: 5, data: '169.254.169.254' },
      ],
    ],
    [
      'mixes the allowed address with a private one',
      [
        { type: 'A', name: 'api.test', ttl: 5, data: PUBLIC },
        { type: 'A', name: 'api.test', ttl: 5, data: '10.0.0.1' },
      ],
    ],
    [
      'mixes in an IPv6 address of loopback',
      [{ type: 'A', name: 'api.test', ttl: 5, data: PUBLIC }],
    ],
  ] as const)
    it(`whose answer ${what} is refused whole, in every form`, async () => {
      const { reached, port } = await twoServers()
      const { resolver } = await liar((type) => {
        if (type === 'A') return answers.map((one) => ({ ...one }))
        return what.includes('IPv6')
          ? [{ type: 'AAAA', name: 'api.test', ttl: 5, data: '::1' }]
          : []
      })
      const host = `api.test:${port}`
      const egress = await setup.egress(port, {
        egress: { allow: [{ host, scheme: 'http' }] },
        global: { allowCidrs: [`${PUBLIC}/32`] },
        port: { resolver },
      })
      const auth = basic(await egress.token({ destinations: [host] }))
      for (const form of FORMS) {
        const answer = await sendRaw(egress.number, head(form, host, auth))
        assert.match(answer, /^HTTP\/1\.1 403 /)
        assert.equal(refusalOf(answer).gate, 'address')
      }
      assert.deepEqual(reached, { good: 0, trap: 0 })
      assert.deepEqual(
        egress.records.map((record) => record.destination_ip),
        [null, null, null],
      )
    })

  it('is asked nothing about what policy, the credential or the syntax refuses', async () => {
    const { questions, resolver } = await liar(() => [])
    const egress = await setup.egress(443, {
      egress: { allow: ['ok.test', 'metadata.google.internal'], deny: ['denied.ok.test'] },
      port: { resolver },
    })
    const auth = basic(
      await egress.token({ destinations: ['*.test', 'ok.test', 'metadata.google.internal'] }),
    )
    for (const form of FORMS)
      for (const [host, by] of [
        ['evil.test:443', auth],
        ['denied.ok.test:443', auth],
        ['ok.test:25', auth],
        ['ok.test:443', ''],
        ['ok.test:443', `Proxy-Authorization: Bearer a.b.c\r\n`],
        ['metadata.google.internal:443', auth],
        ['u@ok.test:443', auth],
      ] as const)
        assert.match(
          await sendRaw(egress.number, head(form, host, by)),
          /^HTTP\/1\.1 (?:40[037]) /,
          `${form} ${host}`,
        )
    assert.deepEqual(questions, [])
  })

  it('cannot have another address reached than the one that was judged: the socket is asked where it is', async () => {
    const { reached, port } = await twoServers()
    // Linux connects 0.0.0.0 to 127.0.0.1: judged was the one, reached is the other
    const egress = await setup.egress(port, {
      names: { 'api.test': ['0.0.0.0'] },
      egress: { allow: [{ host: `api.test:${port}`, scheme: 'http' }] },
      global: { allowCidrs: ['0.0.0.0/32'] },
    })
    const auth = basic(await egress.token({ destinations: [`api.test:${port}`] }))
    for (const form of FORMS) {
      const answer = await sendRaw(egress.number, head(form, `api.test:${port}`, auth))
      assert.match(answer, /^HTTP\/1\.1 403 [\s\S]*went elsewhere/)
    }
    assert.equal(reached.good, 0)
  })
})

function listening(onConnection: () => void): Server {
  return createServer((socket) => {
    onConnection()
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  })
}
