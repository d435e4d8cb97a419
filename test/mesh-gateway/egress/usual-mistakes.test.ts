/** The five usual mistakes, and what a person with curl is told: what is wrong, in the values that matter, and what to do. */
import assert from 'node:assert/strict'
import { leaveOut, run } from './client-world.ts'
import { refusalOf, sendRaw } from './fixture.ts'
import { basic, setUp } from './setup.ts'

const CLOSE = 'Connection: close\r\n'
const MINUTE = 60_000

interface Mistake {
  readonly what: string
  readonly host?: string
  readonly port?: number
  readonly token?: { readonly tenant?: string; readonly agent?: string }
  /** From now. */
  readonly issuedMs?: number
  /** The user name of the proxy URL. */
  readonly user?: string
  readonly code: string
  readonly reason: RegExp
  readonly hint: RegExp
}

const MISTAKES: readonly Mistake[] = [
  {
    what: 'a name that differs from one that is allowed: a part more',
    host: 'www.api.test',
    code: 'MESH_POLICY_NOT_ALLOWED',
    reason: /^no rule of policy allows it$/,
    hint: /^www\.api\.test is not allowed; api\.test is$/,
  },
  {
    what: 'a name that differs from one that is allowed: two letters swapped',
    host: 'stroage.example.com',
    code: 'MESH_POLICY_NOT_ALLOWED',
    reason: /^no rule of policy allows it$/,
    hint: /^stroage\.example\.com is not allowed; storage\.example\.com is$/,
  },
  {
    what: 'a name that the token does not have, though policy does',
    host: 'storage.example.com',
    code: 'MESH_TOKEN_DESTINATION',
    reason: /^the token does not allow the destination$/,
    hint: /^storage\.example\.com is not in allowed_destinations of the token; ask for a token that names it$/,
  },
  {
    what: 'an expired token',
    issuedMs: -20 * MINUTE,
    code: 'MESH_TOKEN_EXPIRED',
    reason: /^the token expired 5 minutes ago$/,
    hint: /^get a fresh one with POST \/v1\/token, `mesh-gateway issue-token` or MeshService\.ExchangeToken; if it is fresh, check the clocks$/,
  },
  {
    what: 'a clock that is ahead',
    issuedMs: 10 * MINUTE,
    code: 'MESH_TOKEN_NOT_YET_VALID',
    reason:
      /^the token is valid in (?:9|10) minutes only: the clock that it was made by is (?:9|10) minutes ahead of this gateway's$/,
    hint: /^set the clocks of both machines, e\.g\. by NTP; they may differ by 30 seconds$/,
  },
  {
    what: 'a port that no tenant gets',
    port: 8444,
    code: 'MESH_EGRESS_PORT_REFUSED',
    reason: /^the port of the destination is not allowed$/,
    hint: /^port 8444 is not listed: egress\.ports of _global\.json has 80, 443, 8443; add it there, and to a rule for the host$/,
  },
  {
    what: 'a port that the rule does not name',
    port: 8443,
    code: 'MESH_POLICY_NOT_ALLOWED',
    reason: /^no rule of policy allows it$/,
    hint: /^port 8443 is not listed: the rule api\.test is for port 80 and 443; a rule api\.test:8443 would allow it$/,
  },
  {
    what: 'an agent in a tenant without policy',
    token: { tenant: 'globex' },
    code: 'MESH_POLICY_NO_TENANT',
    reason: /^the tenant has no policy$/,
    hint: /^the agent is globex\/bot-01, and there is no globex\.json in the policy directory; add it, or use a token of the tenant that was meant$/,
  },
  {
    what: 'an agent in a tenant that does not know it',
    host: 'elsewhere.test',
    token: { agent: 'bot-09' },
    user: 'bot-09',
    code: 'MESH_POLICY_NOT_ALLOWED',
    reason: /^no rule of policy allows it$/,
    hint: /^add "elsewhere\.test" to egress\.allow of acme\.json, the policy of acme\/bot-09; acme names no agent bot-09: if it is of another tenant, its token must be too$/,
  },
  {
    what: "a user name that is another agent's",
    user: 'bot-02',
    code: 'MESH_TOKEN_AGENT_MISMATCH',
    reason: /^the user name is not the agent of the token$/,
    hint: /^the token is of acme\/bot-01: the user name must be bot-01$/,
  },
]

describe('a usual mistake', () => {
  const setup = setUp()
  afterEach(setup.close)

  async function open({
    host = 'api.test',
    port = 443,
    token,
    issuedMs = 0,
    user = 'bot-01',
  }: Mistake) {
    const atMs = Date.now() + issuedMs
    const egress = await setup.egress(443, {
      egress: {
        allow: ['api.test', 'storage.example.com'],
        agents: { 'bot-01': {}, 'bot-02': {} },
      },
      global: { ports: [80, 443, 8443] },
    })
    const secret = await egress.token({ destinations: ['api.test'], atMs, ...token })
    return { egress, to: `${host}:${port}`, secret, user }
  }

  for (const mistake of MISTAKES)
    it(`explains itself, in the body and in the status line: ${mistake.what}`, async () => {
      const { code, reason, hint } = mistake
      const { egress, to, secret, user } = await open(mistake)
      const auth = basic(secret, user)
      const connect = `CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${auth}\r\n`
      const plain = `GET http://${to}/ HTTP/1.1\r\nHost: ${to}\r\n${auth}${CLOSE}\r\n`
      for (const [index, request] of [connect, plain].entries()) {
        const answer = await sendRaw(egress.number, request)
        const said = refusalOf(answer)
        assert.equal(said.code, code)
        assert.match(said.reason, reason)
        assert.match(said.hint, hint)
        const record = await egress.record(index)
        assert.equal(record.request_id, said.request_id)
        assert.match(answer, new RegExp(`\r\nx-request-id: ${said.request_id}\r\n`))
        assert.deepEqual([record.reason, record.action_allowed], [code, false])
        assert.ok(!answer.includes(secret))
        if (request !== connect) continue
        const [line = ''] = answer.split('\r\n')
        assert.equal(
          line,
          `HTTP/1.1 403 ${code} ${said.reason}; ${said.hint}`,
          'whole, in one line',
        )
      }
      assert.deepEqual(egress.asked, [], 'nothing was looked up')
    })

  it('is what curl shows: the status line of a tunnel, the body of a request', async function () {
    const mistake = MISTAKES[0]
    assert.ok(mistake)
    const { egress, to, secret } = await open(mistake)
    const proxy = `http://bot-01:${secret}@127.0.0.1:${egress.number}`
    const tunnel = await run('curl', ['-sv', '-x', proxy, `https://${to}/`])
    if (tunnel.stderr.includes('ENOENT')) leaveOut(this, 'curl')
    assert.match(
      tunnel.stderr,
      /< HTTP\/1\.1 403 MESH_POLICY_NOT_ALLOWED no rule of policy allows it; www\.api\.test is not allowed; api\.test is\r?\n/,
    )
    const plain = await run('curl', ['-s', '-x', proxy, `http://${to}/`])
    const said: unknown = JSON.parse(plain.stdout)
    assert.ok(typeof said === 'object' && said !== null && 'request_id' in said)
    assert.equal(said.request_id, (await egress.record(1)).request_id)
  })
})
