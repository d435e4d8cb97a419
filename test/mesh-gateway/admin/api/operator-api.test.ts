/** The endpoints of the admin port as hostile pages, clients and names meet them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { silentLog } from '@clawmesh/agent-sdk'
import type { Facts, Kind } from '../../../../mesh-gateway/src/admin/api/facts.ts'
import { answerOf } from '../../../../mesh-gateway/src/admin/api/facts.ts'
import { openOperatorPorts } from '../../../../mesh-gateway/src/admin/open-operator-ports.ts'
import { makeFacts } from './facts-of-nobody.ts'

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

describe('the endpoints of the admin port', () => {
  let asked: Kind[]
  let questions: unknown[]
  let facts: Facts
  let answers: boolean
  let silent: number
  const open = (console: 'auto' | 'on' | 'off', host = '127.0.0.1') =>
    openOperatorPorts(
      { admin: { listen: { host, port: 0 }, console }, health: { listen: null } },
      {
        names: () => [],
        metrics: { text: async () => '' },
        missing: () => [],
        connectionRefused: () => {},
        log: silentLog,
        status: () => [],
        facts: {
          async ask(what, question) {
            asked.push(what)
            questions.push(question)
            if (!answers) return { answers: [], silent }
            return { answers: [await answerOf(facts, { what, asked: question })], silent }
          },
          workers: () => [],
        },
        agentOf: () => () => null,
      },
    )
  let ports: Awaited<ReturnType<typeof open>>
  beforeEach(async () => {
    asked = []
    questions = []
    facts = makeFacts()
    answers = true
    silent = 0
    ports = await open('auto')
  })
  afterEach(() => ports.close())

  const ask = async (path: string, { method = 'GET', headers = {}, body }: Asked = {}) => {
    const { port } = ports.admin
    const sent = request({ port, host: '127.0.0.1', path, method, headers, agent: false })
    sent.on('error', () => {})
    sent.end(body)
    const [response] = await once(sent, 'response')
    return { status: response.statusCode, headers: response.headers, body: await text(response) }
  }
  const JSON_BODY = { 'content-type': 'application/json' }
  const QUESTION = '{"plane":"delegation","from":"acme/a","to":"acme/b"}'

  it('say how much of what is open they leave out', async () => {
    const lines = ['{"time":"2026-11-30T00:00:00.000Z","event":"egress"}\n']
    facts = makeFacts({ open: () => ({ calls: 5_000, tunnels: 321, lines }) })
    const { left_out: leftOut, open: shown } = JSON.parse((await ask('/api/open')).body)
    assert.deepEqual([shown.length, leftOut], [1, 5_320])
    facts = makeFacts()
    assert.equal(JSON.parse((await ask('/api/open')).body).left_out, 0)
  })

  it('say of how many workers the part is missing, so that nobody takes a part for all', async () => {
    const replay = { ...{ method: 'POST', headers: JSON_BODY }, body: '{"files":{"acme.json":{}}}' }
    const none = { ...{ same: 0, not_judged: 0, broken_files: [] }, newly_refused: 0 }
    const facts0 = { ...none, newly_allowed: 0, by_audit_mode: 0, records: 0, not_of_policy: 0 }
    const examples = { newly_refused: [], newly_allowed: [] }
    facts = makeFacts({ replay: () => ({ ...facts0, since: null, examples }) })
    for (silent of [0, 2])
      for (const [path, how] of [
        ['/api/overview'],
        ['/api/decisions'],
        ['/api/mesh'],
        ['/api/trees'],
        ['/api/open'],
        ['/api/peers'],
        ['/api/limits'],
        ['/api/replay', replay],
      ] as const) {
        const { status, body } = await ask(path, how)
        assert.deepEqual([status, JSON.parse(body).silent_workers], [200, silent], path)
      }
  })

  it('answer where the port listens on loopback, or where they are switched on, and nowhere else', async () => {
    assert.equal((await ask('/api/overview')).status, 200)
    for (const [console, host, status] of [
      ['off', '127.0.0.1', 404],
      ['auto', '0.0.0.0', 404],
      ['on', '0.0.0.0', 200],
    ] as const) {
      await ports.close()
      ports = await open(console, host)
      assert.equal((await ask('/api/overview')).status, status, `${console} at ${host}`)
      assert.equal((await ask('/health')).status, 200)
      // and an unknown path leads to the console where there is one
      assert.equal((await ask('/nope')).body.includes('/console/'), status === 200)
    }
  })

  it('answer no page of another origin, also one whose name leads here', async () => {
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const post = { method: 'POST', headers: { ...JSON_BODY, ...headers }, body: QUESTION }
      for (const found of [
        await ask('/api/explain', post),
        await ask('/api/overview', { headers }),
      ]) {
        assert.equal(found.status, 403)
        assert.equal(found.headers['access-control-allow-origin'], undefined)
      }
    }
    assert.equal((await ask('/api/overview', { headers: { host: 'evil.example' } })).status, 421)
    assert.deepEqual(asked, [], 'nothing was computed')
    const own = { origin: `http://127.0.0.1:${ports.admin.port}`, 'sec-fetch-site': 'same-origin' }
    const headers = { ...JSON_BODY, ...own, host: `127.0.0.1:${ports.admin.port}` }
    const found = await ask('/api/explain', { method: 'POST', headers, body: QUESTION })
    assert.equal(found.status, 200, found.body)
  })

  it('take JSON by POST only where they compute, and of a bounded size', async () => {
    const post = (body: string, headers: Readonly<Record<string, string>> = JSON_BODY) =>
      ask('/api/explain', { method: 'POST', headers, body })
    assert.equal((await post(QUESTION)).status, 200)
    assert.equal((await post(QUESTION, { 'content-type': 'text/plain' })).status, 415)
    assert.equal((await post(QUESTION, {})).status, 415)
    assert.equal((await post('{')).status, 400)
    assert.equal((await post('[]')).status, 400)
    assert.equal((await post(`"${'x'.repeat(300_000)}"`)).status, 413)
    assert.match((await post('{"plane":"egress","agent":"a/b","to":"x","more":1}')).body, /more/)
    assert.equal((await ask('/api/explain')).status, 405)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      assert.equal((await ask('/api/overview', { method, headers: JSON_BODY })).status, 405, method)
    for (const path of ['/api/', '/api/none', '/api/peers/x', '/api/explain/x', '/api/constructor'])
      assert.equal((await ask(path)).status, 404, path)
    assert.equal((await ask('/api/trees/not-an-id')).status, 400)
  })

  it('take questions as the commands do, with the same defaults, and say all that is wrong with one', async () => {
    const explain = async (body: object) => {
      const sent = { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) }
      const { status, body: said } = await ask('/api/explain', sent)
      return status === 200 ? questions.at(-1) : JSON.parse(said).error
    }
    const [a, b] = ['a', 'b'].map((agent) => ({ tenant: 'acme', agent }))
    assert.deepEqual(await explain({ plane: 'delegation', from: 'acme/a', to: 'acme/b' }), {
      ...{ plane: 'delegation', from: a, to: b, withinChain: false },
      method: 'clawmesh.delegation.v1.DelegationService/Delegate',
    })
    const egress = { plane: 'egress', agent: 'acme/a', to: 'X.test' }
    const tunnel = {
      ...{ plane: 'egress', agent: a, to: { host: 'x.test', port: 443 } },
      ...{ request: null, allowedDestinations: null, withinChain: false },
    }
    assert.deepEqual(await explain(egress), tunnel)
    assert.deepEqual(
      await explain({ ...egress, path: '/a', token: ['*.test'], within_chain: true }),
      {
        ...{ ...tunnel, withinChain: true, allowedDestinations: ['*.test'] },
        request: { method: 'GET', path: '/a' },
      },
    )
    assert.deepEqual(await explain({ ...egress, method: 'PUT' }), {
      ...{ ...tunnel, request: { method: 'PUT', path: '/' } },
    })
    assert.match(await explain({ ...egress, path: 'a' }), /path: begins with/)
    assert.match(
      await explain({ plane: 'delegation', from: 'a', to: 'b/c/d', method: 'x' }),
      /from: .*; to: .*; method: /,
    )
    assert.match(await explain({ plane: 'none' }), /plane: /)
  })

  it('take filters, and numbers from 1 to 500', async () => {
    const query = 'plane=egress&allowed=false&agent=acme/a&host=x&reason=DENIED&last=500'
    assert.equal((await ask(`/api/decisions?${query}`)).status, 200)
    assert.deepEqual(questions.at(-1), {
      ...{
        plane: 'egress',
        allowed: false,
        agent: 'acme/a',
        host: 'x',
        reason: 'DENIED',
        last: 500,
      },
    })
    assert.equal((await ask('/api/decisions?agent=&plane=')).status, 200)
    const none = { plane: null, allowed: null, agent: null, host: null, reason: null }
    assert.deepEqual(questions.at(-1), { ...none, last: 100 })
    for (const wrong of ['last=0', 'last=501', 'last=1.5', 'last=', 'plane=x', 'allowed=yes'])
      assert.equal((await ask(`/api/decisions?${wrong}`)).status, 400, wrong)
    assert.equal((await ask('/api/trees?last=501')).status, 400)
  })

  it('take candidate files as text or as documents, and not too many', async () => {
    const replay = (files: unknown) => {
      const body = JSON.stringify({ files })
      return ask('/api/replay', { method: 'POST', headers: JSON_BODY, body })
    }
    const { status, body } = await replay({ 'acme.json': '{ ', 'b.json': { tenant: 'b' } })
    assert.deepEqual(
      [status, JSON.parse(body).error],
      [503, 'another replay is running; try again'],
    )
    assert.deepEqual(questions.at(-1), [
      { name: 'acme.json', text: '{ ' },
      { name: 'b.json', text: '{"tenant":"b"}' },
    ])
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`t-${i}.json`, {}]))
    for (const files of [{}, many, { 'a.json': 7 }, [], null])
      assert.equal((await replay(files)).status, 400, JSON.stringify(files))
  })

  it('show records without their path, and what each code means', async () => {
    const record = { path: '/secret', reason: 'MESH_POLICY_DENIED', time: 'now' }
    const own = { path: '/secret', reason: 'NO_CODE_OF_OURS' }
    facts = makeFacts({
      decisions: () => ({ lines: [record, own].map((one) => JSON.stringify(one)), more: true }),
    })
    const { decisions, more, reasons } = JSON.parse((await ask('/api/decisions')).body)
    assert.deepEqual(decisions, [
      { reason: 'MESH_POLICY_DENIED', time: 'now' },
      { reason: 'NO_CODE_OF_OURS' },
    ])
    assert.equal(more, true)
    assert.deepEqual(Object.keys(reasons), ['MESH_POLICY_DENIED'])
    assert.match(reasons.MESH_POLICY_DENIED.meaning, /deny rule/)
  })

  it('answer before the rest of a body that is too large, and close the connection', async () => {
    const { port } = ports.admin
    const headers = { ...JSON_BODY, 'content-length': '100000000' }
    const sent = request({ port, host: '127.0.0.1', path: '/api/replay', method: 'POST', headers })
    sent.on('error', () => {})
    sent.write('x'.repeat(400_000))
    const [response] = await once(sent, 'response')
    assert.equal(response.statusCode, 413)
    assert.equal(response.headers.connection, 'close')
    assert.match(await text(response), /262144 bytes/)
    sent.destroy()
  })

  it('say that no process answers, and are read as nothing but JSON', async () => {
    const silent = await ask('/api/certificates')
    assert.equal(silent.status, 200)
    answers = false
    for (const path of ['overview', 'certificates'])
      assert.equal((await ask(`/api/${path}`)).status, 503, path)
    const { headers } = await ask('/api/peers')
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin')
    assert.equal(headers['cache-control'], 'no-store')
  })
})
