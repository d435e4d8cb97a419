import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const GATEWAY = new URL('../../../mesh-gateway/src/gateway.ts', import.meta.url).href

describe('the client of Redis', () => {
  it('is not loaded with the gateway: one that counts by itself keeps the memory', () => {
    const script = `import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      await import(${JSON.stringify(GATEWAY)})
      process.stdout.write(JSON.stringify([loaded.length > 300, loaded.filter((url) => url.includes('/ioredis/'))]))`
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { encoding: 'utf8' },
    )
    assert.equal(stdout, '[true,[]]', stderr)
  })
})
