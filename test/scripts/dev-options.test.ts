import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { nameToResolve } from '../../scripts/dev/dev-files.ts'
import { readDevOptions, UsageError } from '../../scripts/dev/dev-options.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (args: string[], env = {}) => readDevOptions(args, env, root)

describe('the options of npm start', () => {
  it('default to the README, the usual ports and .clawmesh', async () => {
    const options = await read([])
    assert.deepEqual(options, {
      document: { file: `${root}README.md` },
      dir: `${root}.clawmesh`,
      portBase: null,
      once: false,
    })
  })

  it('take a file or a URL', async () => {
    assert.deepEqual((await read(['LICENSE']))?.document, { file: `${root}LICENSE` })
    assert.deepEqual((await read(['HTTPS://Example.com/a?b#c']))?.document, {
      url: 'https://example.com/a?b',
    })
  })

  it('take the ports from the option before the environment', async () => {
    const env = { MESH_DEV_PORT_BASE: '20000' }
    assert.equal((await read([], env))?.portBase, 20_000)
    assert.equal((await read(['--port-base', '0'], env))?.portBase, 0)
  })

  it('are refused with what to type instead', async () => {
    for (const args of [
      ['one', 'two'],
      ['gone.html'],
      ['ftp://example.com/'],
      ['https://user:secret@example.com/'],
      ['http://'],
      ['--port-base', 'x'],
      ['--port-base', '80'],
      ['--port-base', '65536'],
      ['--unknown'],
    ])
      await assert.rejects(read(args), (error) => {
        assert.ok(error instanceof UsageError, args.join(' '))
        assert.ok(error.hint !== '' && !error.message.includes('secret'))
        return true
      })
    assert.equal(await read(['--help']), null)
  })
})

describe('the name that the system is asked for', () => {
  it('is the host of the URL, unless that is an address or served here', () => {
    assert.equal(nameToResolve('https://example.com/x'), 'example.com')
    for (const url of [
      'http://127.0.0.1:80/',
      'http://[::1]/',
      'http://docs.acme.mesh.internal:7480/README.md',
    ])
      assert.equal(nameToResolve(url), null, url)
  })
})
