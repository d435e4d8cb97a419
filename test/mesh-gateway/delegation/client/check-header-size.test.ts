import assert from 'node:assert/strict'
import { checkHeaderSize } from '../../../../mesh-gateway/src/delegation/client/check-header-size.ts'

describe('the head of a call', () => {
  it('may have so many fields and so many bytes, names and values together, and no more', () => {
    const limits = { headerCount: 2, headerBytes: 10 }
    const check = (...raw: string[]) => checkHeaderSize(raw, limits)
    check('a', 'b', 'c', 'd')
    assert.throws(() => check('a', '', 'c', '', 'e', ''), {
      ...{ code: 'MESH_LIMIT_SIZE', message: 'a call may have 2 headers' },
    })
    check('name', '123456')
    assert.throws(() => check('name', '1234567'), {
      ...{ code: 'MESH_LIMIT_SIZE', message: 'the headers of a call may have 10 bytes' },
    })
  })
})
