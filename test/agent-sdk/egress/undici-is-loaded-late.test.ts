import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

describe('the SDK', () => {
  it('does not load undici until somebody fetches: gateways import the SDK and never do', async () => {
    const script = `
      await import('@clawmesh/agent-sdk')
      const { default: module } = await import('node:module')
      const loaded = Object.keys(module._cache).filter((file) => file.includes('/undici/'))
      console.log(loaded.length)`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script],
      { cwd: new URL('../../../', import.meta.url) },
    )
    assert.equal(stdout.trim(), '0')
  })
})
