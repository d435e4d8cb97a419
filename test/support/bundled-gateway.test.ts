import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { runHere } from '../mesh-gateway/cli/run-here.ts'
import { run } from '../pki/run.ts'
import { gatewayCommand } from './bundled-gateway.ts'

describe('the gateway that tests start', () => {
  it('is the command of the sources, in few files', async () => {
    const env: NodeJS.ProcessEnv = {}
    const file = await gatewayCommand(env)
    assert.match(file, /\/node_modules\/\.cache\/clawmesh\/gateway-\w+\/main\.mjs$/)
    assert.equal(await gatewayCommand(env), file)
    const { code, stdout, stderr } = await run(process.execPath, [file, 'start', '--help'])
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout, (await runHere('.', ['start', '--help'])).stdout)
    // not a link to the sources
    assert.doesNotMatch(await readFile(file, 'utf8'), /\.ts'/)
  })

  for (const name of ['NODE_V8_COVERAGE', 'CLAWMESH_SOURCES'])
    it(`is the sources themselves where each of them is looked at: with ${name}`, async () => {
      assert.match(await gatewayCommand({ [name]: '1' }), /\/mesh-gateway\/src\/cli\/main\.ts$/)
    })
})
