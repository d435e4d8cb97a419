import assert from 'node:assert/strict'
import { peerAddress } from '../../../agent-sdk/src/client/peer-address.ts'

const book = { tenant: 'acme', meshDomain: 'mesh.internal' }

describe('how peers are named', () => {
  const good: Record<string, string> = {
    researcher: 'researcher.acme.mesh.internal',
    'globex/translator': 'translator.globex.mesh.internal',
    'a.b.mesh.internal': 'a.b.mesh.internal',
    'A.B.mesh.internal:7443': 'a.b.mesh.internal:7443',
    'a.b:1': 'a.b:1',
    'a.b:65535': 'a.b:65535',
  }
  for (const [peer, name] of Object.entries(good))
    it(`${peer} is ${name}`, () => assert.equal(peerAddress(peer, book), name))

  for (const peer of [
    '',
    'a/b/c',
    '/a',
    'A_/a',
    'a:a.b',
    'a.b:123456',
    ':1',
    '/',
    'a/',
    'a b',
    'a.b:0',
    'a.b:65536',
    'a.b:',
    'http://a.b',
    '127.0.0.1',
    'a.b\r\nx: y',
    '[::1]:1',
    'a@b.c',
  ])
    it(`${JSON.stringify(peer)} is nobody`, () =>
      assert.throws(() => peerAddress(peer, book), TypeError))
})
