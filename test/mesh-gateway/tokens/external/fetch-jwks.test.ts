/** What is said of a JWKS that cannot be fetched, and what is asked for it. */
import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createSecureContext } from 'node:tls'
import {
  type FetchJwksOptions,
  fetchJwks,
} from '../../../../mesh-gateway/src/tokens/external/fetch-jwks.ts'
import { closeServer, listenOnFreePort } from '../../../support/http-origin.ts'

describe('fetching a JWKS', () => {
  let server: Server
  let port: number
  let answer: RequestListener
  let asked: { url: string | undefined; accept: string | undefined; encoding: unknown }[]
  beforeEach(async () => {
    asked = []
    answer = (_, response) => response.end('{}')
    server = createServer((request, response) => {
      const { url, headers } = request
      asked.push({ url, accept: headers.accept, encoding: headers['accept-encoding'] })
      answer(request, response)
    })
    port = await listenOnFreePort(server)
  })
  afterEach(() => closeServer(server))
  const fetched = (more: Partial<FetchJwksOptions> = {}) =>
    fetchJwks({
      uri: `http://127.0.0.1:${port}/keys?a=b`,
      trust: createSecureContext(),
      resolver: { addresses: () => Promise.reject(new Error('no DNS here')) },
      ...more,
    })
  const refused = (work: Promise<unknown>, message: RegExp) =>
    assert.rejects(work, { code: 'MESH_TOKEN_ISSUER_UNAVAILABLE', message })

  it('asks for one as it is, and gives it with what says how long it may be kept', async () => {
    answer = (_, response) => response.setHeader('cache-control', 'max-age=5').end('text')
    assert.deepEqual(await fetched(), { text: 'text', cacheControl: 'max-age=5' })
    assert.deepEqual(asked, [
      {
        ...{ url: '/keys?a=b', encoding: 'identity' },
        accept: 'application/jwk-set+json, application/json',
      },
    ])
    answer = (_, response) => response.setHeader('cache-control', ['a', 'b']).end('é')
    const several = await fetched()
    assert.equal(several.text, 'é')
    assert.match(several.cacheControl ?? '', /^a, ?b$/)
    answer = (_, response) => response.end()
    assert.deepEqual(await fetched(), { text: '', cacheControl: null })
  })

  it('says why it cannot be had', async () => {
    answer = (_, response) => response.writeHead(203).end('{}')
    await refused(fetched(), /^its JWKS was answered with status 203$/)
    answer = (_, response) => response.end('x'.repeat(262_145))
    await refused(fetched(), /^its JWKS has more than 262144 bytes$/)
    answer = () => {}
    await refused(fetched({ timeoutMs: 200 }), /^its JWKS did not come within 0\.2 seconds$/)
    const ended = AbortSignal.abort()
    await refused(fetched({ signal: ended }), /^its JWKS cannot be fetched \(Error\)$/)
    const ending = new AbortController()
    answer = () => ending.abort()
    // its code is the number 20
    await refused(fetched({ signal: ending.signal }), /^its JWKS cannot be fetched \(AbortError\)$/)
    await refused(
      fetched({ uri: 'https://issuer.test/keys' }),
      /^its JWKS cannot be fetched \(Error\)$/,
    )
    await closeServer(server)
    await refused(fetched(), /^its JWKS cannot be fetched \(ECONNREFUSED\)$/)
  })
})
