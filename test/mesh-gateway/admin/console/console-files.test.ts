import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { createConsole } from '../../../../mesh-gateway/src/admin/console/console-files.ts'
import { closeServer, listenOnFreePort } from '../../../support/http-origin.ts'

describe('the files of the console', () => {
  let server: Server
  let port = 0
  before(async () => {
    const served = createConsole()
    server = createServer((asked, response) => void served.answer(asked, response))
    port = await listenOnFreePort(server)
  })
  after(() => closeServer(server))

  const get = async (path: string, method = 'GET') => {
    const sent = request({ port, host: '127.0.0.1', path, method, agent: false }).end()
    const [response] = await once(sent, 'response')
    return { status: response.statusCode, headers: response.headers, body: await text(response) }
  }

  it('are one page, whose policy lets nothing run but its own modules', async () => {
    const { status, headers, body } = await get('/console/')
    assert.equal(status, 200)
    const policy = String(headers['content-security-policy'])
    assert.match(
      policy,
      /^default-src 'none'; script-src 'self' 'sha256-[\w+/=]+'; style-src 'self'/,
    )
    assert.ok(!policy.includes('unsafe'))
    assert.match(policy, /frame-ancestors 'none'; require-trusted-types-for 'script'/)
    assert.ok(!/ on\w+=|javascript:|style="|https?:/.test(body), body)
    assert.equal((await get('/console')).headers.location, '/console/')
  })

  it('are the modules of the page, all of them, as a browser reads them', async () => {
    const sources = new URL('../../../../mesh-gateway/src/admin/console/page/', import.meta.url)
    const names = await readdir(sources)
    assert.ok(names.includes('main.ts'))
    for (const name of names) {
      const { status, headers, body } = await get(`/console/page/${name}`)
      assert.equal(status, 200, name)
      assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
      assert.ok(!/^\s*(?:interface|import type|type) /m.test(body), `${name} has no types`)
      for (const [, specifier = ''] of body.matchAll(/\bfrom '([^']+)'/g))
        assert.ok(specifier === 'lit-html' || names.includes(specifier.slice(2)), specifier)
    }
    const { body } = await get('/console/lit-html.js')
    assert.match(body, /SPDX-License-Identifier: BSD-3-Clause/)
    assert.ok(!body.includes('sourceMappingURL'))
    assert.match((await get('/console/style.css')).body, /prefers-color-scheme: dark/)
  })

  it('are read only, and nothing else is there', async () => {
    for (const path of [
      '/console/page/',
      '/console/page/../console-files.ts',
      '/console/page/..%2fconsole-files.ts',
      '/console/%2e%2e/admin-port.ts',
      '/console/style.ts',
    ])
      assert.equal((await get(path)).status, 404, path)
    assert.equal((await get('/console/', 'POST')).status, 405)
    assert.equal((await get('/console/', 'HEAD')).body, '')
  })
})
