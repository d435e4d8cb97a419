import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { MeshError, Secret } from '@clawmesh/proto'
import { createEgressClient } from '../../../agent-sdk/src/egress/agent-fetch.ts'
import { unreachedPort } from '../../../agent-sdk/src/egress/reach-port.ts'
import { createTokenSource } from '../../../agent-sdk/src/egress/token-source.ts'
import { silentLog } from '../../../agent-sdk/src/log.ts'
import { startDeadAddress } from '../../support/dead-address.ts'
import { listenOnFreePort } from '../../support/http-origin.ts'

/** What a fetch by the egress port at `host` throws. */
async function failure(host: string, url: string): Promise<unknown> {
  const exchange = async () => ({
    ...{ token: new Secret('t'), boundTo: null },
    expiresMs: Date.now() + 900_000,
  })
  const tokens = createTokenSource({ exchange, log: silentLog, now: Date.now })
  const client = createEgressClient({ proxy: new URL(`http://${host}`), tokens })
  try {
    await client.fetch(url)
    return null
  } catch (error) {
    return error
  } finally {
    await client.close()
  }
}

function unreached(error: unknown, message: RegExp): void {
  assert.ok(error instanceof MeshError, String(error))
  assert.equal(error.code, 'MESH_GATEWAY_UNREACHABLE')
  assert.match(error.message, message)
  assert.match(String(error.hint), /the URL of its egress port/)
}

describe('an egress port that is not reached', () => {
  for (const url of ['http://api.test/', 'https://api.test/']) {
    it(`is named with the cause when nothing listens there, for ${url}`, async () => {
      const server = createServer()
      const port = await listenOnFreePort(server)
      server.close()
      await once(server, 'close')
      const cause = new RegExp(`cannot be reached: connect ECONNREFUSED 127\\.0\\.0\\.1:${port}$`)
      unreached(await failure(`127.0.0.1:${port}`, url), cause)
    })

    it(`is named with the cause when its name is not found, for ${url}`, async () => {
      const error = await failure('egress.invalid:8080', url)
      unreached(error, /cannot be reached: getaddrinfo (?:ENOTFOUND|EAI_AGAIN) egress\.invalid$/)
    })

    // how long it takes is not judged here: undici would wait 10 s, and this test 60
    it(`is named when it does not answer, for ${url}`, async () => {
      const dead = await startDeadAddress()
      try {
        const error = await failure(`${dead.host}:${dead.port}`, url)
        unreached(
          error,
          new RegExp(`cannot be reached: 127\\.0\\.0\\.2:${dead.port} does not answer$`),
        )
      } finally {
        await dead.close()
      }
    })
  }

  it('is named by the first address of a host with several', () => {
    const first = new Error('connect ECONNREFUSED ::1:8080')
    const cause = new AggregateError([first, new Error('connect ECONNREFUSED 127.0.0.1:8080')])
    unreached(unreachedPort(cause), /cannot be reached: connect ECONNREFUSED ::1:8080$/)
    const tls = ':SSL routines:tls_validate_record_header:'
    const openSsl = (reason: string) =>
      new Error(`write EPROTO 401D68573B7F0000:error:0A00010B${tls}${reason}:../deps/o.c:77:\n`)
    unreached(
      unreachedPort(openSsl('wrong version number')),
      /reached: what listens there speaks no TLS: .*http:\/\/ for one on this machine$/,
    )
    unreached(
      unreachedPort(openSsl('unsupported protocol')),
      /reached: TLS failed: unsupported protocol$/,
    )
    unreached(unreachedPort(new Error('')), /^the egress port cannot be reached$/)
  })
})
