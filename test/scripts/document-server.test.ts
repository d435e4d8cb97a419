import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDocumentServer, type DocumentServer } from '../../scripts/dev/document-server.ts'
import { describeClosing } from '../support/closes-everything.ts'

describeClosing('the document server of a development mesh', () => {
  let dir: string
  let server: DocumentServer
  const file = () => join(dir, 'a page.html')

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-documents-'))
    await writeFile(file(), '<p>hello')
    await writeFile(join(dir, 'secret.txt'), 'secret')
    server = await createDocumentServer({ file: file() })
  })
  afterEach(async () => {
    await server.close()
    await rm(dir, { recursive: true })
  })

  const ask = (path: string, method = 'GET') =>
    new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
      const options = { port: server.port, host: '127.0.0.1', path, method, agent: false }
      request(options, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk
        })
        response.once('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, type: headers['content-type'] ?? '', body })
        })
      })
        .once('error', reject)
        .end()
    })

  it('serves the one file, as it is now', async () => {
    assert.equal(server.path, '/a%20page.html')
    const { type, body } = await ask(server.path)
    assert.equal(type, 'text/html; charset=utf-8')
    assert.equal(body, '<p>hello')
    await writeFile(file(), '')
    assert.deepEqual(await ask(server.path), { status: 200, type, body: '' })
    assert.equal((await ask(server.path, 'HEAD')).status, 200)
  })

  it('serves nothing else, and takes nothing', async () => {
    for (const path of [
      '/',
      '/secret.txt',
      '/../secret.txt',
      '/a%20page.html/../secret.txt',
      '//x',
    ])
      assert.equal((await ask(path)).status, 404, path)
    assert.equal((await ask(server.path, 'POST')).status, 405)
  })

  it('says that the file has gone, and goes on', async () => {
    await rm(file())
    assert.equal((await ask(server.path)).status, 404)
    await writeFile(file(), 'back')
    assert.equal((await ask(server.path)).body, 'back')
  })
})
