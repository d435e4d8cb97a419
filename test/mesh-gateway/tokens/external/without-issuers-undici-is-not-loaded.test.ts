import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

const url = (path: string) => new URL(`../../../../mesh-gateway/src/${path}`, import.meta.url).href

describe('undici', () => {
  it('is loaded by a gateway that takes tokens of other issuers, and by no other', () => {
    const script = `import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
      const seen = () => loaded.some((url) => url.includes('/undici/'))
      await import(${JSON.stringify(url('gateway.ts'))})
      const { openTokenVerifier } = await import(${JSON.stringify(url('tokens/open-token-verifier.ts'))})
      const keyRing = { verifying: () => null, onChange: () => () => {} }
      const before = seen()
      const without = await openTokenVerifier({ keyRing, issuer: 'x', issuers: [] })
      const idle = seen()
      await without.close()
      const entry = { issuer: 'y', jwksUri: 'http://127.0.0.1:9/', tenants: ['a'], claims: { tenant: 't', agent: 'a', destinations: 'd' }, algorithms: ['ES256'] }
      const resolver = { addresses: () => Promise.reject(new Error('none')) }
      const withOne = await openTokenVerifier({ keyRing, issuer: 'x', issuers: [entry], resolver, trust: () => undefined })
      await withOne.close()
      process.stdout.write(JSON.stringify([loaded.length > 300, before, idle, seen()]))`
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', script],
      { encoding: 'utf8' },
    )
    assert.equal(stdout, '[true,false,false,true]', stderr)
  })
})
