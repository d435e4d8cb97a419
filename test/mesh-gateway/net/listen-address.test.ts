import assert from 'node:assert/strict'
import {
  formatListenAddress,
  parseListenAddress,
} from '../../../mesh-gateway/src/net/listen-address.ts'

describe('an address to listen on', () => {
  it('is host:port, IPv6 in brackets, and reads back the same', () => {
    for (const text of [
      '127.0.0.1:8080',
      '[::1]:8080',
      '[::]:0',
      'localhost:1',
      'gw.mesh.internal:65535',
    ]) {
      const address = parseListenAddress(text)
      assert.notEqual(typeof address, 'string', text)
      if (typeof address !== 'string') assert.equal(formatListenAddress(address), text)
    }
  })

  it('is refused with a sentence that says what to write', () => {
    assert.match(String(parseListenAddress('8080')), /127\.0\.0\.1:8080/)
    assert.match(String(parseListenAddress(':8080')), /0\.0\.0\.0:8080/)
    for (const text of [
      '',
      '::1:8080',
      '[::1]',
      '[nope]:80',
      '127.0.0.1',
      '127.0.0.1:',
      'a b:1',
      '127.0.0.1:65536',
      'http://x:1',
      'X:1',
      '127.1:1',
      '0x7f.1:1',
      '[127.0.0.1]:1',
      '127.0.0.1:80\n',
    ])
      assert.equal(typeof parseListenAddress(text), 'string', text)
  })
})
