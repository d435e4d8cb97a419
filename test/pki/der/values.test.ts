/** Each kind of value that is read of DER, and what is no such value. */
import assert from 'node:assert/strict'
import {
  children,
  expect,
  itemsOf,
  readBitBytes,
  readBits,
  readBoolean,
  readDer,
  readOid,
  readSmallInteger,
  TAG,
} from '../../../pki/src/der/read.ts'

const value = (hex: string) => readDer(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const refused = (read: () => unknown, why: RegExp, what: string) =>
  assert.throws(read, { code: 'MESH_PKI_INVALID', message: why }, what)

describe('a value of DER', () => {
  it('is one, with the shortest length that there is', () => {
    for (const [hex, tag, length] of [
      ['0500', 5, 0],
      [`047f${'00'.repeat(0x7f)}`, 4, 0x7f],
      [`048180${'00'.repeat(0x80)}`, 4, 0x80],
      [`0481ff${'00'.repeat(0xff)}`, 4, 0xff],
      [`04820100${'00'.repeat(0x100)}`, 4, 0x100],
      [`0483010000${'00'.repeat(0x10000)}`, 4, 0x10000],
      ['1e00', 0x1e, 0],
      ['de00', 0xde, 0],
    ] as const) {
      const one = value(hex)
      assert.deepEqual([one.tag, one.content.length], [tag, length])
      assert.equal(one.raw.length, hex.length / 2)
    }
    for (const [hex, why] of [
      ['', /one value was expected/],
      ['05000500', /one value was expected/],
      ['05', /it is cut short/],
      ['0401', /it is cut short/],
      ['1f00', /a tag of several bytes/],
      ['ff00', /a tag of several bytes/],
      ['3080', /bad length/],
      ['0485000000000100', /bad length/],
      ['0481', /bad length/],
      ['048201', /bad length/],
      [`04817f${'00'.repeat(0x7f)}`, /a length is not minimal/],
      [`04820080${'00'.repeat(0x80)}`, /a length is not minimal/],
      [`0484000001ff${'00'.repeat(0x1ff)}`, /a length is not minimal/],
    ] as const)
      refused(() => value(hex), why, hex)
    // as long as four bytes can say, and no byte of it is there
    refused(() => value('0484ffffffff'), /it is cut short/, 'four bytes')
    assert.deepEqual(
      children(value('3005 0101ff 0500')).map(({ tag }) => tag),
      [1, 5],
    )
    refused(() => children(value('0500')), /a constructed value was expected/, 'children')
    refused(() => itemsOf(value('3000'), TAG.set), /unexpected type/, 'a sequence for a set')
    for (const none of [undefined, value('0500')])
      refused(() => expect(none, TAG.integer), /unexpected type/, 'expect')
  })

  it('is an object identifier', () => {
    for (const [hex, text] of [
      ['0603 551d11', '2.5.29.17'],
      ['0601 27', '0.39'],
      ['0601 28', '1.0'],
      ['0601 4f', '1.39'],
      ['0601 50', '2.0'],
      ['0602 8837', '2.999'],
      ['0604 2a818001', '1.2.16385'],
      ['0606 2a864886f70d', '1.2.840.113549'],
      [`0640${'01'.repeat(64)}`, `0.1${'.1'.repeat(63)}`],
    ] as const)
      assert.equal(readOid(value(hex)), text)
    for (const hex of ['0600', '0601 80', '0602 2a86', `0641${'01'.repeat(65)}`])
      refused(() => readOid(value(hex)), /bad identifier/, hex)
    refused(() => readOid(value('0401 2a')), /unexpected type/, 'octets')
  })

  it('is a boolean of one byte, all or nothing', () => {
    assert.deepEqual([readBoolean(value('0101ff')), readBoolean(value('010100'))], [true, false])
    for (const hex of ['0100', '010101', '0101fe', '0102ffff', '01020000'])
      refused(() => readBoolean(value(hex)), /bad boolean/, hex)
    refused(() => readBoolean(value('0201ff')), /unexpected type/, 'an integer')
  })

  it('is a number of 32 bits that is not negative', () => {
    for (const [hex, number] of [
      ['020100', 0],
      ['02017f', 127],
      ['02020080', 128],
      ['0204 7fffffff', 2 ** 31 - 1],
      ['0205 00ffffffff', 2 ** 32 - 1],
    ] as const)
      assert.equal(readSmallInteger(value(hex)), number)
    for (const hex of ['0200', '020180', '0201ff', '0206 000000000001'])
      refused(() => readSmallInteger(value(hex)), /bad integer/, hex)
    refused(() => readSmallInteger(undefined), /unexpected type/, 'nothing')
  })

  it('is bits, those that are not used being zero', () => {
    for (const [hex, bytes] of [
      ['030100', ''],
      ['030107', ''],
      ['03020780', '80'],
      ['030200ff', 'ff'],
      ['030201fe', 'fe'],
      ['0303040fa0', '0fa0'],
    ] as const)
      assert.equal(readBits(value(hex)).toString('hex'), bytes, hex)
    for (const hex of ['0300', '030108', '03020800', '03020781', '030201ff', '030304a00f'])
      refused(() => readBits(value(hex)), /bad bit string/, hex)
    refused(() => readBits(value('0400')), /unexpected type/, 'octets')
    assert.equal(readBitBytes(value('03020001')).toString('hex'), '01')
    for (const hex of ['03020780', '0300', '030107'])
      refused(() => readBitBytes(value(hex)), /bad bit string/, hex)
  })
})
