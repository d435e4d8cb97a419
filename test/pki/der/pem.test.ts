import assert from 'node:assert/strict'
import { parsePem, toPem, withoutByteOrderMark } from '../../../pki/src/der/pem.ts'

describe('a text with PEM blocks', () => {
  const block = (label: string, body = 'AAAA', end = label) =>
    `-----BEGIN ${label}-----\n${body}\n-----END ${end}-----\n`
  const labels = (text: string) => parsePem(text).map(({ label }) => label)
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => parsePem(text), { code: 'MESH_PKI_INVALID', message }, text)

  it('is written in lines of 64 characters', () => {
    const lines = toPem('X', Buffer.alloc(49)).split('\n')
    assert.deepEqual(
      lines.map((line) => line.length),
      [17, 64, 4, 15, 0],
    )
    assert.equal(toPem('X', Buffer.alloc(48)).split('\n').length, 4)
  })

  it('holds those that stand on lines of their own, in their order', () => {
    assert.deepEqual(labels(''), [])
    assert.deepEqual(labels('text\n-----END X-----\n'), [])
    assert.deepEqual(labels(`text\n${block('A')}more\n${block('B C 1')}end`), ['A', 'B C 1'])
    assert.deepEqual(labels(block(`A${'B'.repeat(63)}`)).length, 1)
    for (const odd of [`A${'B'.repeat(64)}`, 'a', '']) assert.deepEqual(labels(block(odd)), [], odd)
    assert.deepEqual(labels(`x${block('A')}`), [])
    assert.deepEqual(parsePem(block('A', ' AAAA \nAA==')), [{ label: 'A', der: Buffer.alloc(4) }])
  })

  it('may come from editors of Windows, with a mark before each part, and not in UTF-16', () => {
    const mark = '\uFEFF'
    assert.deepEqual(labels(`${mark}${block('A')}${mark}${mark}${block('B')}`), ['A', 'B'])
    assert.deepEqual(labels(`\u00EF\u00BB\u00BF${block('A')}`), ['A'])
    assert.equal(withoutByteOrderMark(`${mark}a${mark}`), `a${mark}`)
    refused(Buffer.from(block('A'), 'utf16le').toString('latin1'), /UTF-16/)
    refused(Buffer.from(block('A'), 'utf16le').swap16().toString('latin1'), /UTF-16/)
  })

  it('is refused with half a block, or with what is not base64', () => {
    for (const text of [block('A').slice(0, -16), block('A', 'AAAA', 'B'), block('A', block('B'))])
      refused(text, /a PEM block A is cut short$/)
    for (const body of ['', 'AAA', 'AAAAA', 'A===', 'AA=A', 'AA?A', '=AAA', 'AA==AA=='])
      refused(block('A', body), /a PEM block A is not base64$/)
    for (const body of ['AAAA', 'AAA=', 'AA==', '+/09azAZ'])
      assert.deepEqual(parsePem(block('A', body))[0]?.der, Buffer.from(body, 'base64'))
  })
})
